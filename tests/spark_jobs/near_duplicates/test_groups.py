"""Groups: connected, of one label, not too large."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.bundle.manifest import SEVERAL
from spark_jobs.near_duplicates.groups import (
    Groups,
    Labelled,
    Limits,
    count_classes,
    count_used,
    describe_groups,
    describe_pairs,
    find_groups,
    find_leaders,
)
from spark_jobs.spec import Side

NAMES = [f"{i:02}" for i in range(12)]
PAIRS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda p: p[0] < p[1]),
    unique=True,
    max_size=20,
)
LABELS = st.fixed_dictionaries({name: st.sampled_from(["a", "键盘"]) for name in NAMES})


def name_all(labels: dict[str, str]) -> dict[str, Labelled]:
    return {sha: Labelled(f"{sha}.png", label) for sha, label in labels.items()}


def group(
    samples: dict[str, Labelled], pairs: list[tuple[str, str]], share: float, size: int
) -> Groups:
    return find_groups(samples, pairs, Limits(share, size, count_classes(samples)))


@settings(deadline=None)
@given(PAIRS, LABELS, st.randoms(use_true_random=False))
def test_groups_have_one_label_and_take_every_pair(
    pairs: list[tuple[str, str]], labels: dict[str, str], chance: random.Random
) -> None:
    samples = name_all(labels)
    found = group(samples, pairs, share=0.5, size=4)
    shuffled = pairs.copy()
    chance.shuffle(shuffled)
    assert group(samples, shuffled, share=0.5, size=4) == found
    of = {sha: i for i, group in enumerate([*found.groups, *found.over_large]) for sha in group}
    for component in [*found.groups, *found.over_large]:
        assert len({labels[sha] for sha in component}) == 1
        assert component == sorted(component)
    for a, b in pairs:
        assert ((a, b) in found.cross_label) == (labels[a] != labels[b])
        if labels[a] == labels[b]:
            assert of[a] == of[b]
    assert found.near.keys() == {sha for group in found.groups for sha in group}
    for sha, others in found.near.items():
        assert all(sha in found.near[other] for other in others)


def test_copies_under_other_labels_join_where_a_sample_has_several() -> None:
    samples = name_all({"1": "cat|dog", "2": "cat", "3": "dog", "4": "fox", "5": "fox"})
    pairs = [("1", "2"), ("2", "3"), ("4", "5")]
    limits = Limits(0.05, 10, count_classes(samples, SEVERAL), SEVERAL)
    found = find_groups(samples, pairs, limits)
    assert found.groups == [["1", "2", "3"], ["4", "5"]]
    assert found.near["2"] == ("1", "3")
    # A person looks at them all the same.
    assert found.cross_label == [("1", "2"), ("2", "3")]
    assert describe_groups(found.groups, samples)[0].labels == ("cat", "cat|dog", "dog")
    samples["1"] = replace(samples["1"], side="test", left_out=True)
    leaders = find_leaders(samples, pairs, limits)
    assert leaders == {"2": ("1",), "3": ("1",)}


def test_a_scene_is_one_by_its_largest_class() -> None:
    labels = {f"{i:03}": "cat|fox" if i < 12 else "cat" for i in range(300)}
    samples, chain = name_all(labels), list(pairwise(sorted(labels)[:13]))
    counts = count_classes(samples, SEVERAL)
    assert counts == {"cat": 300, "fox": 12}
    assert find_groups(samples, chain, Limits(0.05, 10, counts, SEVERAL)).over_large == []
    assert len(find_groups(samples, chain, Limits(0.04, 10, counts, SEVERAL)).over_large) == 1


def test_large_components_are_told_and_not_used() -> None:
    samples = name_all(dict.fromkeys((f"{i:03}" for i in range(300)), "a"))
    chain = list(pairwise(sorted(samples)[:16]))
    assert len(group(samples, chain, share=0.05, size=10).over_large) == 1
    small = group(samples, chain[:14], share=0.05, size=10)
    assert (len(small.groups), small.over_large) == (1, [])
    few = group(samples, chain, share=0.05, size=16)
    assert (len(few.groups), few.over_large) == (1, [])


def test_what_the_report_names() -> None:
    samples = name_all({"1": "a", "2": "a", "3": "b", "4": "a"})
    found = group(samples, [("1", "2"), ("2", "3"), ("2", "4")], share=1, size=10)
    (copies,) = describe_groups(found.groups, samples)
    assert (copies.size, copies.names, copies.labels) == (3, ("1.png", "2.png", "4.png"), ("a",))
    assert copies.hashes == ("1", "2", "4")
    (pair,) = describe_pairs(found.cross_label, samples)
    assert (pair.names, pair.labels) == (("2.png", "3.png"), ("a", "b"))
    assert pair.hashes == ("2", "3")


def chain(sides: str, left_out: str = "") -> tuple[dict[str, Labelled], list[tuple[str, str]]]:
    """A component of one label; a sign for each sample: t(rain), e (test) or - (none as yet)."""
    side: dict[str, Side | None] = {"t": "train", "e": "test", "-": None}
    samples = {
        f"{number:02}": Labelled(f"{number}.png", "a", side[sign], str(number) in left_out)
        for number, sign in enumerate(sides)
    }
    return samples, list(pairwise(samples))


@pytest.mark.parametrize(
    ("sides", "left_out", "expected"),
    [
        ("t--", "", {}),  # A group: near says it all.
        ("t--", "0", {"01": ("00",), "02": ("00",)}),
        ("te-", "01", {"02": ("00", "01")}),
        ("te-", "1", {"02": ("01",)}),
        ("tttt-", "", {"04": ("00",)}),  # It grew too large, and stays on its side.
        ("ttte-", "", {}),
        ("tt---", "", {}),  # A scene of which two pictures came first.
        # With those that are deleted it is too large, without them a group like any other.
        ("tt---", "0", {"02": ("00",), "03": ("00",), "04": ("00",)}),
        ("tt---", "01", {"02": ("00",), "03": ("00",), "04": ("00",)}),
        ("te---", "01", {}),
        ("tt-----", "01", {}),
    ],
)
def test_whom_a_new_sample_follows(
    sides: str, left_out: str, expected: dict[str, tuple[str, ...]]
) -> None:
    samples, pairs = chain(sides, left_out)
    limits = Limits(0.05, 4, count_classes(samples))
    assert find_leaders(samples, pairs, limits) == expected
    used = {sha for pair in find_groups(samples, pairs, limits).near.items() for sha in pair[1]}
    assert not any(samples[sha].left_out for sha in used)


def test_pairs_with_a_sample_that_is_left_out_are_in_no_count() -> None:
    samples, pairs = chain("-----", "13")
    assert count_used(samples, pairs) == 0
    assert count_used(samples, [*pairs, ("00", "02"), ("02", "04")]) == 2
