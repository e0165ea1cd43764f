"""Samples and review items, as an import and an evaluation write them."""

from datetime import UTC, datetime
from typing import Any

from serving.job.reviews import ReviewItem, list_reviews

THEN = datetime(2026, 1, 2, tzinfo=UTC)


def sha_of(number: int) -> str:
    return f"{number:064x}"


def insert_sample(database: Any, dataset: str, number: int, label: str, **changes: Any) -> str:
    """Its sha256; the dataset gets the class."""
    sha256 = sha_of(number)
    fields = {
        "_id": f"{dataset}/{sha256}",
        "dataset": dataset,
        "sha256": sha256,
        "name": f"{label}/{number}.png",
        "segment": "file:///nowhere/one.parquet",
        "size_bytes": 3,
        "state": "active",
        "label": label,
        "history": [{"at": THEN, "by": "importer", "label": label, "state": "active"}],
        "added_at": THEN,
    }
    database["samples"].insert_one(fields | changes)
    fresh = {"title": "Pets", "task": "image_classification", "classes": []}
    database["datasets"].update_one({"_id": dataset}, {"$setOnInsert": fresh}, upsert=True)
    classes = set(database["datasets"].find_one({"_id": dataset})["classes"]) | {label}
    database["datasets"].update_one({"_id": dataset}, {"$set": {"classes": sorted(classes)}})
    return sha256


def make_item(dataset: str, number: int, label: str = "cat", **changes: Any) -> ReviewItem:
    fields: dict[str, Any] = {
        "dataset": dataset,
        "sha256": sha_of(number),
        "name": f"{label}/{number}.png",
        "label": label,
        "predicted": "dog",
        "scores": (("dog", 0.8), ("cat", 0.2)),
        "reasons": ("Its nearest train pictures are dogs.",),
        "source": "bad_case",
        "run_id": "20260102T030405-abcdef",
        "suspicion": 0.5,
        "queued_at": THEN,
    }
    return ReviewItem(**fields | changes)


def open_ones(database: Any, dataset: str) -> list[int]:
    return [int(one.sha256, 16) for one in list_reviews(database, dataset).items]
