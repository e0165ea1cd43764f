"""Sides that the user gave, and ours beside them: each is known as what it is, for life."""

from dataclasses import replace

from spark_jobs.sides import SideRequest, assign_sides
from spark_jobs.spec import Side
from spark_jobs.stages.assign_sides import Decision, decide, find_leaks, list_units, tell_bridge

QUOTAS: dict[Side, float] = {"train": 0.7, "val": 0.15, "test": 0.15}


def settle(requests: list[SideRequest]) -> Decision:
    names = {request.sha256: request.sha256 for request in requests}
    return decide(requests, assign_sides(requests, QUOTAS, 0), names, as_they_are=False)


def near(request: SideRequest, *others: str) -> SideRequest:
    return replace(request, near=others)


def test_what_we_cut_from_train_stays_ours_when_other_splits_come() -> None:
    """All were below train/; then val/ and test/ came, and a label was corrected."""
    requests = [
        near(SideRequest("a", "l", "train", "train", origin="assigned"), "b"),
        near(SideRequest("b", "l", "train", "test", origin="assigned"), "a"),
        SideRequest("c", "l", "val", "val", origin="given"),
        SideRequest("d", "l", "test", None),
    ]
    decision = settle(requests)
    assert decision.sides == {"a": "train", "c": "val", "d": "test"}
    assert decision.reasons.keys() == {"b"}


def test_who_gave_an_old_side_is_told_by_whether_its_split_leads_there() -> None:
    requests = [
        SideRequest("a", "l", "train", "train"),
        SideRequest("b", "l", "train", "test"),
        SideRequest("c", "l", "val", "val"),
        SideRequest("d", "l", "test", "test"),
        SideRequest("e", "l", None, "train"),
    ]
    assert assign_sides(requests, QUOTAS, 0).origins == {
        "a": "given",
        "b": "assigned",
        "c": "given",
        "d": "given",
        "e": "assigned",
    }


def test_ours_are_on_one_side_also_where_a_given_one_joins_them() -> None:
    requests = [
        near(SideRequest("a", "l", None, "train", origin="assigned"), "given"),
        near(SideRequest("b", "l", None, "test", origin="assigned"), "given"),
        near(SideRequest("given", "l", "test", None), "a", "b"),
    ]
    decision = settle(requests)
    assert decision.sides == {"a": "train", "given": "test"}
    units = list_units(decision.used)
    assert find_leaks(units, decision.sides, {"a": "a", "given": "given"}).leaks == 1


def test_new_copies_of_a_given_test_picture_go_to_one_side_together() -> None:
    """Their own split keeps them from where it lies."""
    copies = [near(SideRequest(f"{i}", "l", "train", None), "given") for i in range(8)]
    others = [SideRequest(f"other {i}", "l", "train", None) for i in range(8)]
    given = near(SideRequest("given", "l", "test", None), *(one.sha256 for one in copies))
    decision = settle([*copies, *others, given])
    assert not decision.reasons
    assert len({decision.sides[one.sha256] for one in copies}) == 1


def test_a_new_copy_that_may_not_go_where_ours_lies_is_left_out_itself() -> None:
    requests = [
        near(SideRequest("ours", "l", None, "test", origin="assigned"), "copy"),
        near(SideRequest("copy", "l", "train", None), "ours"),
        SideRequest("given", "l", "test", "test", origin="given"),
    ]
    decision = settle(requests)
    assert decision.sides == {"ours": "test", "given": "test"}
    told = "bridges_split: belongs together with ours (test), a side that its split rules out"
    assert decision.reasons == {"copy": told}
    assert tell_bridge("copy", {"test": "ours"}, {"ours": "ours"}) == told


def test_a_new_sample_pushes_no_older_one_out() -> None:
    """It resembles a given one, which resembles ours on another side."""
    requests = [
        near(SideRequest("old", "l", None, "val", origin="assigned"), "given"),
        near(SideRequest("given", "l", "test", "test", origin="given"), "old", "new"),
        near(SideRequest("new", "l", None, None), "given"),
    ]
    decision = settle(requests)
    assert decision.sides == {"old": "val", "given": "test"}
    assert decision.reasons.keys() == {"new"}
