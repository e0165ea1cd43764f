"""The small MongoDB-wire server: what an id finds is checked against the rest of the query."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

CONDITIONS: dict[str, dict[str, Any]] = {"none": {}, "more": {"side": None}}


@pytest.fixture
def fill(database: Any) -> Callable[[int], Any]:
    def fill(count: int) -> Any:
        collection = database[f"test-{uuid.uuid4().hex[:8]}"]
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            collection.insert_many({"_id": f"{n:04}", "odd": n % 2, "side": None} for n in numbers)
        return collection

    return fill


def find_ids(collection: Any, query: dict[str, Any]) -> list[str]:
    return sorted(document["_id"] for document in collection.find(query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"_id": "0003", "odd": 1}, ["0003"]),
        ({"_id": "0003", "odd": 0}, []),
        ({"_id": {"$in": ["0003", "0002", "0009"]}, "odd": 1, "side": None}, ["0003", "0009"]),
        ({"_id": {"$gte": "0006"}, "odd": 1}, ["0007", "0009"]),
        ({"_id": {"$in": ["0001", "0002"], "$ne": "0001"}, "odd": 0}, ["0002"]),
        ({"_id": {"$regex": "^000[1-4]"}, "odd": 0}, ["0002", "0004"]),
        ({"_id": "0003", "$or": [{"odd": 0}, {"side": None}]}, ["0003"]),
        ({"$or": [{"_id": "0003"}, {"_id": "0004"}], "odd": 1}, ["0003"]),
        ({"_id": None, "odd": 1}, []),
    ],
)
def test_other_conditions_count_too(
    fill: Callable[[int], Any], query: dict[str, Any], expected: list[str]
) -> None:
    assert find_ids(fill(10), query) == expected


def test_compare_and_set(fill: Callable[[int], Any]) -> None:
    collection = fill(10)
    key, change = {"_id": "0001", "side": None}, {"$set": {"side": "val"}}
    assert collection.update_one(key, change).modified_count == 1
    assert collection.update_one(key, change).matched_count == 0
    with pytest.raises(DuplicateKeyError):
        collection.update_one(key, change, upsert=True)
    assert collection.delete_one({"_id": "0001", "side": "test"}).deleted_count == 0
    assert collection.delete_one({"_id": "0001", "side": "val"}).deleted_count == 1
    assert find_ids(collection, {"odd": 1, "side": None}) == ["0003", "0005", "0007", "0009"]


def test_it_does_not_read_the_whole_collection(fill: Callable[[int], Any]) -> None:
    """A compare-and-set costs about what an update by id alone does."""
    collection = fill(10_000)
    seconds = dict.fromkeys(CONDITIONS, 0.0)
    for number in range(200):
        for name, more in CONDITIONS.items():
            started = time.monotonic()
            collection.update_one({"_id": f"{number:04}"} | more, {"$set": {"odd": number}})
            seconds[name] += time.monotonic() - started
    assert seconds["more"] < 4 * seconds["none"]
