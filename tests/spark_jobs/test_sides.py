"""Sides: for life, by quota, whatever the order."""

import random
from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.sides import SIDES, SideRequest, allowed_sides, assign_sides, count_sides
from spark_jobs.spec import Side

QUOTAS: dict[Side, float] = {"train": 0.7, "val": 0.15, "test": 0.15}


@st.composite
def samples(draw: st.DrawFn, splits: tuple[str | None, ...] = (None,)) -> list[SideRequest]:
    names = draw(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=60))
    return [
        SideRequest(
            sha256=str(name),
            label=draw(st.sampled_from(["a", "<b>", "键盘"])),
            split=draw(st.sampled_from(splits)),
            side=None,
        )
        for name in names
    ]


def place(requests: list[SideRequest], quotas: dict[Side, float], seed: int) -> dict[str, Side]:
    """Where nothing belongs together, everything has a side."""
    found = assign_sides(requests, quotas, seed)
    assert not found.bridges
    return found.sides


def with_sides(requests: list[SideRequest], sides: dict[str, Side]) -> list[SideRequest]:
    return [replace(r, side=sides.get(r.sha256)) for r in requests]


ANY_SPLITS = samples(splits=(None, "train", "val", "test"))


@given(ANY_SPLITS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_order_is_of_no_account(
    requests: list[SideRequest], seed: int, chance: random.Random
) -> None:
    shuffled = requests.copy()
    chance.shuffle(shuffled)
    assert place(requests, QUOTAS, seed) == place(shuffled, QUOTAS, seed)


@given(ANY_SPLITS, ANY_SPLITS, st.integers(0, 5))
def test_sides_are_for_life(first: list[SideRequest], more: list[SideRequest], seed: int) -> None:
    before = place(first, QUOTAS, seed)
    new = [r for r in more if r.sha256 not in before]
    after = place([*with_sides(first, before), *new], QUOTAS, seed + 1)
    assert after.keys() == before.keys() | {r.sha256 for r in new}
    assert {sha: after[sha] for sha in before} == before


@given(samples())
def test_quotas_are_met_within_one_sample(requests: list[SideRequest]) -> None:
    sides = place(requests, QUOTAS, seed=0)
    labels = {r.sha256: r.label for r in requests}
    for counts in count_sides(labels, sides).values():
        total = sum(counts.values())
        if total < 3:
            continue
        assert all(counts.values())
        if total >= 10:
            assert all(abs(counts[side] - QUOTAS[side] * total) <= 1.5 for side in SIDES)


@given(samples(splits=("train", "val", "test")))
def test_a_given_test_side_is_never_trained_on(requests: list[SideRequest]) -> None:
    sides = place(requests, QUOTAS, seed=0)
    splits = {r.split for r in requests}
    for request in requests:
        if splits >= {"train", "val", "test"}:
            assert sides[request.sha256] == request.split
        elif request.split == "test" or (request.split == "val" and "test" not in splits):
            assert sides[request.sha256] == "test"


def test_growing_bit_by_bit_keeps_the_quotas() -> None:
    requests: list[SideRequest] = []
    sides: dict[str, Side] = {}
    for step in range(40):
        requests += [SideRequest(f"{step}-{i}", "a", None, None) for i in range(5)]
        sides = place(with_sides(requests, sides), QUOTAS, seed=step)
    assert Counter(sides.values()) == {"train": 140, "val": 30, "test": 30}


def test_new_samples_fill_the_side_that_lacks_most() -> None:
    old = [SideRequest(f"old{i}", "a", None, "train") for i in range(70)]
    new = [SideRequest(f"new{i}", "a", None, None) for i in range(30)]
    sides = place([*old, *new], QUOTAS, seed=0)
    assert Counter(sides[r.sha256] for r in new) == {"val": 15, "test": 15}


def test_train_and_val_only() -> None:
    requests = [SideRequest(f"t{i}", "a", "train", None) for i in range(100)]
    requests += [SideRequest(f"v{i}", "a", "val", None) for i in range(40)]
    sides = place(requests, QUOTAS, seed=0)
    assert all(sides[f"v{i}"] == "test" for i in range(40))
    # 15 of 85 parts.
    assert Counter(sides[f"t{i}"] for i in range(100)) == {"train": 82, "val": 18}


@pytest.mark.parametrize(
    ("split", "splits", "expected"),
    [
        (None, {"train", "val"}, SIDES),
        ("train", {"train"}, SIDES),
        ("train", {"train", "test"}, ("train", "val")),
        ("train", {"train", "val", "test"}, ("train",)),
        ("val", {"train", "val"}, ("test",)),
        ("val", {"train", "val", "test"}, ("val",)),
        ("test", {"test"}, ("test",)),
    ],
)
def test_allowed_sides(split: str | None, splits: set[str], expected: tuple[Side, ...]) -> None:
    assert allowed_sides(split, frozenset(splits)) == expected


def test_sides_follow_the_spec() -> None:
    assert get_args(Side) == SIDES
