"""Confirmed pairs → groups of near-duplicates, and what a person should hear about them. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.labels import list_classes
from spark_jobs.components import find_components
from spark_jobs.report_models import LabelledPair, SampleGroup
from spark_jobs.spec import Side

# Reports name so many; the totals stand beside them.
MOST_GROUPS = 20
MOST_NAMES = 20
MOST_PAIRS = 100


@dataclass(frozen=True)
class Labelled:
    """What the report calls a sample, its class, its side; left_out: not used today."""

    name: str
    label: str
    side: Side | None = None
    left_out: bool = False


@dataclass(frozen=True)
class Groups:
    """What belongs together, among the samples that are used today.

    near: sample → its confirmed near-duplicates that it belongs together with, both ways, sorted.
    groups: components of two and more, of which `over_large` are no part.
    """

    near: dict[str, tuple[str, ...]]
    groups: list[list[str]]
    over_large: list[list[str]]
    cross_label: list[tuple[str, str]]


@dataclass(frozen=True)
class Limits:
    """When a component is a scene and no set of copies: larger than both; and what may form one.

    share: of its class, which has so many samples; of the largest, where it has several. task:
    where a sample has several labels, copies belong together whatever these are. Most likely one of
    them lacks some, and a model that has learned from one knows the other all the same.
    """

    share: float
    size: int
    classes: Mapping[str, int]
    task: Task = ONE

    def join(self, one: Labelled, other: Labelled) -> bool:
        """Whether two near-duplicates belong together."""
        return self.task == SEVERAL or one.label == other.label

    def exceeded_by(self, component: Sequence[str], samples: Mapping[str, Labelled]) -> bool:
        """True where nobody can say which of its samples are copies."""
        labels = {samples[sha].label for sha in component}
        named = {name for label in labels for name in list_classes(label, self.task)}
        most = max(self.classes[name] for name in named)
        return len(component) > max(self.size, self.share * most)


def count_classes(samples: Mapping[str, Labelled], task: Task = ONE) -> Counter[str]:
    """Samples a class, of those that are used today; one with several labels counts under each."""
    used = (sample for sample in samples.values() if not sample.left_out)
    return Counter(name for sample in used for name in list_classes(sample.label, task))


def count_used(samples: Mapping[str, Labelled], pairs: Sequence[tuple[str, str]]) -> int:
    """Pairs of which both are used today."""
    return sum(not (samples[a].left_out or samples[b].left_out) for a, b in pairs)


def _find_components(
    samples: Mapping[str, Labelled], pairs: Sequence[tuple[str, str]], limits: Limits
) -> list[list[str]]:
    same = [(a, b) for a, b in pairs if limits.join(samples[a], samples[b])]
    return find_components({end for pair in same for end in pair}, same)


def find_groups(
    samples: Mapping[str, Labelled], pairs: Sequence[tuple[str, str]], limits: Limits
) -> Groups:
    """Join confirmed pairs of one label; a component over the limits loses all its edges.

    cross_label names pairs of two labels, joined or not.
    """
    used = [(a, b) for a, b in pairs if not (samples[a].left_out or samples[b].left_out)]
    cross = [(min(p), max(p)) for p in used if samples[p[0]].label != samples[p[1]].label]
    groups: list[list[str]] = []
    over_large: list[list[str]] = []
    for component in _find_components(samples, used, limits):
        large = limits.exceeded_by(component, samples)
        (over_large if large else groups).append(component)
    grouped = {sha for group in groups for sha in group}
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in used:
        if a in grouped and limits.join(samples[a], samples[b]):
            near[a].append(b)
            near[b].append(a)
    return Groups(
        near={sha: tuple(sorted(others)) for sha, others in sorted(near.items())},
        groups=groups,
        over_large=over_large,
        cross_label=sorted(cross),
    )


def find_leaders(
    samples: Mapping[str, Labelled], pairs: Sequence[tuple[str, str]], limits: Limits
) -> dict[str, tuple[str, ...]]:
    """Sample that has no side → samples whose side it takes, though it forms no group with them.

    They are left out today and may be back tomorrow; or they are the larger part, on one side, of
    a group that grows too large with it: what was kept together is not torn by one sample more.
    What is too large only with those left out are copies still, as long as one side leads them.
    """
    crowded = {sha for group in find_groups(samples, pairs, limits).over_large for sha in group}
    leaders: dict[str, tuple[str, ...]] = {}
    for component in _find_components(samples, pairs, limits):
        first: dict[Side, str] = {}
        large = not crowded.isdisjoint(component)
        sided = [sha for sha in component if samples[sha].side is not None]
        for sha in sided:
            side = samples[sha].side
            if side is not None and (large or samples[sha].left_out):
                first.setdefault(side, sha)
        several = len(first) > 1 and limits.exceeded_by(component, samples)
        if first and not several and not (large and 2 * len(sided) < len(component)):
            found = tuple(sorted(first.values()))
            leaders |= {sha: found for sha in component if samples[sha].side is None}
    return leaders


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
