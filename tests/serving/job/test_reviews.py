"""What comes into the queue and out of it, on a real MongoDB-wire server."""

from typing import Any

from serving.job.review_decisions import (
    decide,
    find_item,
)
from serving.job.reviews import (
    Place,
    Queued,
    count_all_open,
    count_open,
    list_reviews,
    queue_reviews,
)
from serving.job.samples import read_sample, relabel_sample
from tests.serving.reviewing import insert_sample, make_item, open_ones, sha_of


def test_most_suspicious_first_in_pages(database: Any, pets: str) -> None:
    first = list_reviews(database, pets, limit=3)
    assert [int(one.sha256, 16) for one in first.items] == [3, 2, 1]
    assert first.open == 4
    last = first.items[-1]
    second = list_reviews(database, pets, Place(last.suspicion, last.sha256), limit=3)
    assert [int(one.sha256, 16) for one in second.items] == [0]


def test_open_ones_are_counted_by_an_index(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(0), "hard", by="ann")
    assert count_open(database, pets) == count_all_open(database)[pets] == 3
    keys = [one["key"] for one in database["reviews"].index_information().values()]
    assert [("decision", 1), ("dataset", 1)] in keys


def test_equal_suspicion_is_paged_without_loss(database: Any, dataset: str) -> None:
    for number in range(7):
        insert_sample(database, dataset, number, "cat")
    queue_reviews(database, [make_item(dataset, n, suspicion=0.1 + 0.2) for n in range(7)])
    seen, after = [], None
    while page := list_reviews(database, dataset, after, limit=2).items:
        seen += [int(one.sha256, 16) for one in page]
        after = Place(page[-1].suspicion, page[-1].sha256)
    assert seen == list(range(7))


def test_an_item_comes_back_as_it_was_put(database: Any, pets: str) -> None:
    assert find_item(database, pets, sha_of(2)) == make_item(pets, 2, suspicion=0.2)


def test_open_items_are_refreshed_decided_ones_are_not(database: Any, pets: str) -> None:
    decide(database, pets, sha_of(0), "hard", by="ann")
    later = [make_item(pets, n, suspicion=0.9, run_id="20260103T030405-abcdef") for n in (0, 1)]
    assert queue_reviews(database, later) == Queued(refreshed=1, decided=1)
    assert open_ones(database, pets) == [1, 3, 2]
    assert find_item(database, pets, sha_of(1)).run_id == "20260103T030405-abcdef"


def test_a_decided_one_is_asked_again_when_its_label_changed_since(
    database: Any, pets: str
) -> None:
    decide(database, pets, sha_of(0), "confirm", by="ann")
    relabel_sample(database, read_sample(database, pets, sha_of(0)), "dog", "bob")
    again = make_item(pets, 0, "dog", predicted="cat")
    assert queue_reviews(database, [again]) == Queued(reopened=1)
    item = find_item(database, pets, sha_of(0))
    assert item.decision is None
    assert [(e.event, e.label) for e in item.trail] == [("confirm", "cat"), ("reopen", "dog")]


def test_outdated_items_do_not_come_in(database: Any, dataset: str) -> None:
    insert_sample(database, dataset, 0, "dog")
    insert_sample(database, dataset, 1, "cat", state="deleted")
    assert queue_reviews(database, [make_item(dataset, n) for n in range(3)]) == Queued(outdated=3)
    assert open_ones(database, dataset) == []


def test_the_most_suspicious_of_two_counts(database: Any, dataset: str) -> None:
    insert_sample(database, dataset, 0, "cat")
    items = [make_item(dataset, 0, suspicion=s) for s in (0.1, 0.7, 0.3)]
    assert queue_reviews(database, items) == Queued(opened=1)
    assert find_item(database, dataset, sha_of(0)).suspicion == 0.7
