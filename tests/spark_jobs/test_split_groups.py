"""What belongs together lies on one side, for life, whatever is imported when."""

import itertools
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.bundle.manifest import SEVERAL
from serving.job.errors import UserError
from spark_jobs.sides import SIDES, SideRequest, assign_sides, find_units
from spark_jobs.spec import Side
from spark_jobs.stages.assign_sides import (
    MOST_NAMES,
    Decision,
    check_sides,
    decide,
    find_leaks,
    list_units,
    tell_bridge,
)

QUOTAS: dict[Side, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
Imports = list[list[SideRequest]]


@st.composite
def imports(draw: st.DrawFn, splits: tuple[str | None, ...]) -> Imports:
    """Batches of samples; near-duplicates and groups go across them as they like."""
    count = draw(st.integers(1, 24))
    names = [f"{i:02}" for i in range(count)]
    labels = {name: draw(st.sampled_from(["a", "b"])) for name in names}
    some = st.tuples(st.sampled_from(names), st.sampled_from(names))
    near: dict[str, set[str]] = defaultdict(set)
    for a, b in draw(st.lists(some, max_size=count)):
        if a != b and labels[a] == labels[b]:
            near[a].add(b)
            near[b].add(a)
    batches: Imports = [[] for _ in range(draw(st.integers(1, 5)))]
    for name in names:
        request = SideRequest(
            sha256=name,
            label=labels[name],
            split=draw(st.sampled_from(splits)),
            side=None,
            group=draw(st.sampled_from([None, None, None, "camera 1", "camera 2"])),
            near=tuple(sorted(near[name])),
        )
        batches[draw(st.integers(0, len(batches) - 1))].append(request)
    return batches


def run_all(batches: Imports) -> tuple[list[SideRequest], list[dict[str, Side]]]:
    """A run after each import; the samples with their last sides, and the sides of every run."""
    there: list[SideRequest] = []
    runs: list[dict[str, Side]] = []
    for seed, batch in enumerate(batches):
        there = [*there, *batch]
        found = assign_sides(there, QUOTAS, seed)
        assert found.sides.keys() | found.bridges.keys() == {r.sha256 for r in there}
        assert not found.sides.keys() & found.bridges.keys()
        there = [replace(r, side=found.sides.get(r.sha256)) for r in there]
        runs.append(found.sides)
    return there, runs


@settings(deadline=None, max_examples=200)
@given(imports(splits=(None,)))
def test_no_group_is_ever_on_two_sides(batches: Imports) -> None:
    there, _ = run_all(batches)
    kept = [request for request in there if request.side is not None]
    sides = {request.sha256: request.side for request in kept}
    for unit in find_units(kept):
        assert len({sides[sha] for sha in unit}) == 1


@settings(deadline=None, max_examples=200)
@given(imports(splits=(None, "train", "val", "test")))
def test_no_side_ever_changes(batches: Imports) -> None:
    _, runs = run_all(batches)
    for before, after in itertools.pairwise(runs):
        assert before.items() <= after.items()


@settings(deadline=None, max_examples=200)
@given(imports(splits=(None, None, "train", "val", "test")))
def test_leaks_come_from_given_splits_only_and_are_all_reported(batches: Imports) -> None:
    there, _ = run_all(batches)
    kept = [request for request in there if request.side is not None]
    known = {request.sha256: request for request in kept}
    sides: dict[str, Side] = {r.sha256: r.side for r in kept if r.side is not None}
    on_two = [u for u in find_units(kept) if len({sides[sha] for sha in u}) > 1]
    for unit in on_two:
        assert any(known[sha].split is not None for sha in unit)
    free = [request for request in kept if request.split is None]
    for request in free:
        for other in request.near:
            if other in known and known[other].split is None:
                assert sides[other] == request.side
    report = find_leaks(list_units(kept), sides, {sha: sha for sha in sides})
    assert report.leaks == len(on_two)
    assert {group.names[0] for group in report.leaking_groups} == {unit[0] for unit in on_two}


@settings(deadline=None)
@given(imports(splits=(None,)))
def test_classes_with_three_units_have_all_sides(batches: Imports) -> None:
    """In a first run: later ones may have to follow what stands."""
    requests = [
        replace(request, group=None, near=tuple(n for n in request.near if n in here))
        for here in [{r.sha256 for r in batches[0]}]
        for request in batches[0]
    ]
    sides = assign_sides(requests, QUOTAS, seed=0).sides
    labels = {request.sha256: request.label for request in requests}
    units = Counter(labels[unit[0]] for unit in find_units(requests))
    for label, count in units.items():
        if count >= 3:
            assert {sides[sha] for sha, one in labels.items() if one == label} == set(SIDES)


def test_new_members_follow_their_group() -> None:
    old = [SideRequest(f"old{i}", "a", None, "test" if i == 3 else "train") for i in range(9)]
    new = [
        SideRequest("x", "a", None, None, near=("old3",)),
        SideRequest("y", "a", None, None, near=("x",)),
    ]
    sides = assign_sides([*old, *new], QUOTAS, seed=0).sides
    assert (sides["x"], sides["y"]) == ("test", "test")


def test_a_bridge_is_left_out_and_named_and_its_neighbours_are_not() -> None:
    requests = [
        SideRequest("a", "l", None, "train"),
        SideRequest("b", "l", None, "test"),
        SideRequest("bridge", "l", None, None, near=("a", "b", "c")),
        SideRequest("c", "l", None, None, near=("a", "bridge")),
    ]
    found = assign_sides(requests, QUOTAS, seed=0)
    assert found.bridges == {"bridge": {"train": "a", "test": "b"}}
    assert found.sides["c"] == "train"
    told = tell_bridge("bridge", found.bridges["bridge"], {"a": "a.png", "b": "b.png"})
    assert told == "bridges_split: belongs together with a.png (train) and b.png (test)"


def test_a_new_group_between_two_sides_is_left_out_whole() -> None:
    requests = [
        SideRequest("a", "l", None, "train"),
        SideRequest("b", "l", None, "test"),
        SideRequest("c", "l", None, None, near=("a",), group="new camera"),
        SideRequest("d", "l", None, None, near=("b",), group="new camera"),
    ]
    assert assign_sides(requests, QUOTAS, seed=0).bridges.keys() == {"c", "d"}


def test_given_sides_are_kept_and_their_leaks_are_told() -> None:
    requests = [
        SideRequest("a", "l", "train", None, near=("b",)),
        SideRequest("b", "l", "test", None, near=("a",)),
        SideRequest("c", "l", "val", None),
    ]
    sides = assign_sides(requests, QUOTAS, seed=0).sides
    assert sides == {"a": "train", "b": "test", "c": "val"}
    report = find_leaks(list_units(requests), sides, {"a": "a.png", "b": "b.png", "c": "c.png"})
    (leak,) = report.leaking_groups
    assert (report.leaks, leak.names, leak.sides) == (1, ("a.png", "b.png"), ("train", "test"))


def test_a_leak_too_large_to_name_whole_is_named_on_each_of_its_sides() -> None:
    sides: dict[str, Side] = {f"{i:03}": "train" for i in range(2 * MOST_NAMES)}
    sides |= {"998": "val", "999": "test"}
    requests = [SideRequest(sha, "l", None, side, group="g") for sha, side in sides.items()]
    names = {sha: f"{sha}.png" for sha in sides}
    (leak,) = find_leaks(list_units(requests), sides, names).leaking_groups
    assert leak.hashes[:4] == ("000", "998", "999", "001")
    assert leak.names == tuple(f"{sha}.png" for sha in leak.hashes)
    assert (leak.size, len(leak.names)) == (len(sides), MOST_NAMES)


def test_large_groups_leave_the_quotas_to_the_rest() -> None:
    big = [SideRequest(f"big{i}", "a", None, None, group="g") for i in range(30)]
    rest = [SideRequest(f"one{i:02}", "a", None, None) for i in range(70)]
    counts = Counter(assign_sides([*big, *rest], QUOTAS, seed=0).sides.values())
    assert counts == {"train": 70, "val": 15, "test": 15}


def test_units_are_named_by_the_user_or_by_their_smallest_hash() -> None:
    requests = [
        SideRequest("1", "a", None, None, group="mine"),
        SideRequest("2", "a", None, None, group="mine"),
        SideRequest("4", "a", None, None, near=("5",)),
        SideRequest("5", "a", None, None, near=("4",), group="theirs"),
        SideRequest("6", "a", None, None),
    ]
    groups = {tuple(m.sha256 for m in u.members): u.group for u in list_units(requests)}
    assert groups == {("1", "2"): "mine", ("4", "5"): "4", ("6",): None}


def test_classes_are_checked_one_by_one_where_samples_have_several() -> None:
    def settle(labels: list[str]) -> Decision:
        requests = [SideRequest(f"{i}", label, None, None) for i, label in enumerate(labels)]
        assignment = assign_sides(requests, QUOTAS, 0, SEVERAL)
        return decide(
            requests, assignment, {r.sha256: r.sha256 for r in requests}, as_they_are=False
        )

    check_sides(settle(["a|b", "b", "a|b", "a", "b|a"]), "pets", SEVERAL)
    with pytest.raises(
        UserError, match=r"1 of the 3 classes .*'c': 1 train, 1 val, 0 test.*take these labels off"
    ):
        check_sides(settle(["a|b", "b|c", "a|b", "a|c", "a|b"]), "pets", SEVERAL)
    with pytest.raises(UserError, match=r"other labels have to leave a choice of sides: import"):
        check_sides(settle(["a|b|c", "a|b", "a|c", "b|c"]), "pets", SEVERAL)
    with pytest.raises(UserError, match=r"3 usable samples of 1 class \('a'\)"):
        check_sides(settle(["a", "a", "a"]), "pets", SEVERAL)


def test_the_sentence_about_small_classes_stays_short() -> None:
    requests = [SideRequest(f"{i:04}", f"class {i:04}", None, None) for i in range(5000)]
    assignment = assign_sides(requests, QUOTAS, seed=0)
    names = {request.sha256: request.sha256 for request in requests}
    decision = decide(requests, assignment, names, as_they_are=False)
    with pytest.raises(UserError, match=r"5000 of the 5000 classes.* and 4,990 more") as told:
        check_sides(decision, "boards")
    assert len(str(told.value)) < 1000
