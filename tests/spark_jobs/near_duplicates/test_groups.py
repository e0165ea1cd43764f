"""Groups: connected, of one label, not too large."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.near_duplicates.groups import (
    Labelled,
    describe_groups,
    describe_pairs,
    find_groups,
)

NAMES = [f"{i:02}" for i in range(12)]
PAIRS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda p: p[0] < p[1]),
    unique=True,
    max_size=20,
)
LABELS = st.fixed_dictionaries({name: st.sampled_from(["a", "键盘"]) for name in NAMES})


def name_all(labels: dict[str, str]) -> dict[str, Labelled]:
    return {sha: Labelled(f"{sha}.png", label) for sha, label in labels.items()}


@settings(deadline=None)
@given(PAIRS, LABELS, st.randoms(use_true_random=False))
def test_groups_have_one_label_and_take_every_pair(
    pairs: list[tuple[str, str]], labels: dict[str, str], chance: random.Random
) -> None:
    samples = name_all(labels)
    found = find_groups(samples, pairs, max_share=0.5, max_size=4)
    shuffled = pairs.copy()
    chance.shuffle(shuffled)
    assert find_groups(samples, shuffled, max_share=0.5, max_size=4) == found
    of = {sha: i for i, group in enumerate([*found.groups, *found.over_large]) for sha in group}
    for group in [*found.groups, *found.over_large]:
        assert len({labels[sha] for sha in group}) == 1
        assert group == sorted(group)
    for a, b in pairs:
        assert ((a, b) in found.cross_label) == (labels[a] != labels[b])
        if labels[a] == labels[b]:
            assert of[a] == of[b]
    assert found.near.keys() == {sha for group in found.groups for sha in group}
    for sha, others in found.near.items():
        assert all(sha in found.near[other] for other in others)


def test_large_components_are_told_and_not_used() -> None:
    samples = name_all(dict.fromkeys((f"{i:03}" for i in range(300)), "a"))
    chain = list(pairwise(sorted(samples)[:16]))
    assert len(find_groups(samples, chain, max_share=0.05, max_size=10).over_large) == 1
    small = find_groups(samples, chain[:14], max_share=0.05, max_size=10)
    assert (len(small.groups), small.over_large) == (1, [])
    few = find_groups(samples, chain, max_share=0.05, max_size=16)
    assert (len(few.groups), few.over_large) == (1, [])


def test_what_the_report_names() -> None:
    samples = name_all({"1": "a", "2": "a", "3": "b", "4": "a"})
    found = find_groups(samples, [("1", "2"), ("2", "3"), ("2", "4")], max_share=1, max_size=10)
    (group,) = describe_groups(found.groups, samples)
    assert (group.size, group.names, group.labels) == (3, ("1.png", "2.png", "4.png"), ("a",))
    assert group.hashes == ("1", "2", "4")
    (pair,) = describe_pairs(found.cross_label, samples)
    assert (pair.names, pair.labels) == (("2.png", "3.png"), ("a", "b"))
    assert pair.hashes == ("2", "3")
