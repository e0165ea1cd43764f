"""Confirmed pairs → groups of near-duplicates, and what a person should hear about them. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spark_jobs.components import find_components
from spark_jobs.report_models import LabelledPair, SampleGroup

# Reports name so many; the totals stand beside them.
MOST_GROUPS = 20
MOST_NAMES = 20
MOST_PAIRS = 100


@dataclass(frozen=True)
class Labelled:
    """What the report calls a sample, and its class."""

    name: str
    label: str


@dataclass(frozen=True)
class Groups:
    """near: sample → its confirmed near-duplicates of the same label, both ways, sorted.

    groups: components of two and more, of which `over_large` are no part.
    """

    near: dict[str, tuple[str, ...]]
    groups: list[list[str]]
    over_large: list[list[str]]
    cross_label: list[tuple[str, str]]


def find_groups(
    samples: Mapping[str, Labelled],
    pairs: Sequence[tuple[str, str]],
    max_share: float,
    max_size: int,
) -> Groups:
    """Join confirmed pairs of one label.

    A component larger than max_size and than max_share of its class is not used: its edges fall
    away, all of them, for nobody can say which of them are copies.
    """
    label = {sha: sample.label for sha, sample in samples.items()}
    same = [(a, b) for a, b in pairs if label[a] == label[b]]
    cross = sorted((min(a, b), max(a, b)) for a, b in pairs if label[a] != label[b])
    classes = Counter(label.values())
    groups: list[list[str]] = []
    over_large: list[list[str]] = []
    for component in find_components({end for pair in same for end in pair}, same):
        limit = max(max_size, max_share * classes[label[component[0]]])
        (over_large if len(component) > limit else groups).append(component)
    used = {sha for group in groups for sha in group}
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in same:
        if a in used:
            near[a].append(b)
            near[b].append(a)
    return Groups(
        near={sha: tuple(sorted(others)) for sha, others in sorted(near.items())},
        groups=groups,
        over_large=over_large,
        cross_label=cross,
    )


def describe_groups(
    groups: Sequence[Sequence[str]], samples: Mapping[str, Labelled]
) -> tuple[SampleGroup, ...]:
    """The largest, by name."""
    largest = sorted(groups, key=lambda group: (-len(group), group[0]))[:MOST_GROUPS]
    named = [sorted(group, key=lambda sha: (samples[sha].name, sha)) for group in largest]
    return tuple(
        SampleGroup(
            size=len(group),
            labels=tuple(sorted({samples[sha].label for sha in group})),
            names=tuple(samples[sha].name for sha in group[:MOST_NAMES]),
            hashes=tuple(group[:MOST_NAMES]),
        )
        for group in named
    )


def describe_pairs(
    pairs: Sequence[tuple[str, str]], samples: Mapping[str, Labelled]
) -> tuple[LabelledPair, ...]:
    """The first of them, by name."""
    named = sorted(pairs, key=lambda pair: (samples[pair[0]].name, samples[pair[1]].name))
    return tuple(
        LabelledPair(
            names=(samples[a].name, samples[b].name),
            labels=(samples[a].label, samples[b].label),
            hashes=(a, b),
        )
        for a, b in named[:MOST_PAIRS]
    )
