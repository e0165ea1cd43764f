"""What people decide, on a real MongoDB-wire server."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from serving.job.errors import UserError
from serving.job.labels import NewClassError
from serving.job.review_decisions import (
    HOLD,
    ReviewConflictError,
    decide,
    find_item,
    undo_decision,
)
from serving.job.reviews import COLLECTION, list_reviews, queue_reviews
from serving.job.samples import delete_sample, read_sample, relabel_sample
from tests.serving.reviewing import THEN, insert_sample, make_item, open_ones, sha_of


def history(database: Any, dataset: str, number: int) -> list[tuple[str, str, str]]:
    sample = read_sample(database, dataset, sha_of(number))
    return [(entry.label, entry.state, entry.by) for entry in sample.history]


@pytest.mark.parametrize("verdict", ["confirm", "hard"])
def test_confirm_and_hard_leave_the_sample(database: Any, pets: str, verdict: Any) -> None:
    item = decide(database, pets, sha_of(1), verdict, by="ann")
    assert item.decision is not None
    assert (item.decision.verdict, item.decision.label, item.decision.by) == (verdict, "cat", "ann")
    assert history(database, pets, 1) == [("cat", "active", "importer")]
    assert open_ones(database, pets) == [3, 2, 0]


def test_confirm_decides_a_dispute_and_undo_brings_it_back(database: Any, dataset: str) -> None:
    disputed = {"at": THEN, "by": "importer", "label": "cat", "state": "disputed", "claimed": "dog"}
    insert_sample(database, dataset, 0, "cat", state="disputed", history=[disputed])
    queue_reviews(database, [make_item(dataset, 0)])
    decide(database, dataset, sha_of(0), "confirm", by="ann")
    assert history(database, dataset, 0)[1:] == [("cat", "active", "ann")]
    undo_decision(database, dataset, sha_of(0), "ann")
    sample = read_sample(database, dataset, sha_of(0))
    assert (sample.state, sample.history[-1].claimed) == ("disputed", "dog")


def test_relabel_appends(database: Any, pets: str) -> None:
    item = decide(database, pets, sha_of(1), "relabel", " dog ", by="ann")
    assert item.decision is not None
    assert (item.decision.verdict, item.decision.label) == ("relabel", "dog")
    assert history(database, pets, 1)[1:] == [("dog", "active", "ann")]
    assert [e.event for e in item.trail] == ["relabel"]


def test_relabel_to_the_same_label_is_a_confirmation(database: Any, pets: str) -> None:
    item = decide(database, pets, sha_of(1), "relabel", "cat", by="ann")
    assert item.decision is not None
    assert item.decision.verdict == "confirm"
    assert len(history(database, pets, 1)) == 1


def test_a_new_class_has_to_be_said(database: Any, pets: str) -> None:
    with pytest.raises(NewClassError, match=r"LABEL was 'dgo'.*Did you mean 'dog'"):
        decide(database, pets, sha_of(1), "relabel", "dgo", by="ann")
    assert len(history(database, pets, 1)) == 1
    assert 1 in open_ones(database, pets)
    decide(database, pets, sha_of(1), "relabel", "fox", by="ann", new_class=True)
    classes = database["datasets"].find_one({"_id": pets})["classes"]
    assert classes == ["cat", "dog", "fox"]


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "x" * 201])
def test_labels_that_cannot_be(database: Any, pets: str, label: str) -> None:
    with pytest.raises(UserError, match="1 to 200 characters"):
        decide(database, pets, sha_of(1), "relabel", label, by="ann", new_class=True)


def test_several_labels(database: Any, dataset: str) -> None:
    for number, label in enumerate(["a|b", "c"]):
        insert_sample(database, dataset, number, label)
    change = {"$set": {"task": "image_multilabel", "classes": ["a", "b", "c"]}}
    database["datasets"].update_one({"_id": dataset}, change)
    queue_reviews(database, [make_item(dataset, 0, "a|b")])
    with pytest.raises(NewClassError):
        decide(database, dataset, sha_of(0), "relabel", "c|new", by="ann")
    item = decide(database, dataset, sha_of(0), "relabel", "c| a|c", by="ann")
    assert item.decision is not None
    assert item.decision.label == "a|c"


def test_delete_and_undo(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(1), "delete", by="ann")
    assert read_sample(database, pets, sha_of(1)).state == "deleted"
    item = undo_decision(database, pets, sha_of(1), "ann")
    assert item.decision is None
    assert [(e.event, e.by) for e in item.trail] == [("delete", "ann"), ("undo", "ann")]
    assert history(database, pets, 1)[1:] == [("cat", "deleted", "ann"), ("cat", "active", "ann")]
    assert 1 in open_ones(database, pets)
    with pytest.raises(ReviewConflictError, match="nothing to undo"):
        undo_decision(database, pets, sha_of(1), "ann")


def test_undo_of_a_relabelling(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(1), "relabel", "dog", by="ann")
    assert undo_decision(database, pets, sha_of(1), "bob").label == "cat"
    assert history(database, pets, 1)[-1] == ("cat", "active", "bob")


def test_undo_does_not_overrule_somebody_else(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(1), "relabel", "dog", by="ann")
    delete_sample(database, read_sample(database, pets, sha_of(1)), "bob")
    with pytest.raises(ReviewConflictError, match="changed by bob since"):
        undo_decision(database, pets, sha_of(1), "ann")
    assert read_sample(database, pets, sha_of(1)).state == "deleted"


def test_a_second_decision_is_refused_with_the_first(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(1), "delete", by="ann")
    with pytest.raises(ReviewConflictError, match=r"decided by ann .*delete, 'cat'"):
        decide(database, pets, sha_of(1), "confirm", by="bob")


def test_of_many_people_at_once_one_decides(database: Any, pets: str) -> None:
    refused: list[str] = []
    start = threading.Barrier(6)

    def work(name: str) -> None:
        start.wait()
        try:
            decide(database, pets, sha_of(1), "relabel", name, by=name, new_class=True)
        except ReviewConflictError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work, args=[f"p{n}"]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
    (_, changed) = history(database, pets, 1)
    item = find_item(database, pets, sha_of(1))
    assert item.decision is not None
    assert (item.decision.label, item.decision.by) == (changed[0], changed[2])
    assert len(item.trail) == 1


def test_a_hold_that_was_left_ends(database: Any, pets: str) -> None:
    key = {"_id": f"{pets}/{sha_of(1)}"}
    hold = {"key": "k", "by": "dead", "until": THEN + HOLD}
    database[COLLECTION].update_one(key, {"$set": {"held": hold}})
    assert decide(database, pets, sha_of(1), "confirm", by="ann").decision is not None
    hold = {**hold, "until": THEN + timedelta(days=20_000)}
    database[COLLECTION].update_one({"_id": f"{pets}/{sha_of(2)}"}, {"$set": {"held": hold}})
    with pytest.raises(ReviewConflictError, match="right now"):
        decide(database, pets, sha_of(2), "confirm", by="ann")


def test_a_sample_deleted_meanwhile(database: Any, pets: str) -> None:
    delete_sample(database, read_sample(database, pets, sha_of(1)), "bob")
    with pytest.raises(ReviewConflictError, match="deleted by bob meanwhile"):
        decide(database, pets, sha_of(1), "confirm", by="ann")
    assert read_sample(database, pets, sha_of(1)).state == "deleted"
    assert open_ones(database, pets) == [3, 2, 0]
    decision = find_item(database, pets, sha_of(1)).decision
    assert decision is not None
    assert (decision.verdict, decision.by) == ("delete", "bob")


def test_a_sample_relabelled_elsewhere_is_decided(database: Any, pets: str) -> None:
    relabel_sample(database, read_sample(database, pets, sha_of(1)), "dog", "bob")
    with pytest.raises(ReviewConflictError, match="relabelled 'dog' by bob"):
        decide(database, pets, sha_of(1), "delete", by="ann")
    page = list_reviews(database, pets)
    assert page.open == len(page.items) == 3


def test_a_sample_that_is_gone_leaves_the_queue(database: Any, pets: str) -> None:
    database["samples"].delete_one({"_id": f"{pets}/{sha_of(1)}"})
    with pytest.raises(ReviewConflictError, match="no sample of"):
        decide(database, pets, sha_of(1), "confirm", by="ann")
    assert open_ones(database, pets) == [3, 2, 0]
    with pytest.raises(KeyError):
        find_item(database, pets, sha_of(1))


def test_purged_bytes_do_not_come_back(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(1), "delete", by="ann")
    database["samples"].update_one({"_id": f"{pets}/{sha_of(1)}"}, {"$set": {"segment": ""}})
    with pytest.raises(UserError, match="was purged"):
        undo_decision(database, pets, sha_of(1), "ann")


def test_no_such_item(database: Any, dataset: str) -> None:
    with pytest.raises(KeyError):
        decide(database, dataset, sha_of(1), "confirm", by="ann")
