"""Samples and datasets in MongoDB, written so that any step may be done twice or at once."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DUPLICATE_KEY = 11000
ATTEMPTS = 5


@dataclass(frozen=True)
class NewSample:
    """A picture that lies in a raw segment."""

    sha256: str
    name: str
    label: str
    split: str | None
    size_bytes: int


class Ledger:
    """One dataset's samples. Labels are append-only: `history` keeps every state with its time."""

    def __init__(self, database: Any, dataset: str, actor: str) -> None:
        self._samples = database["samples"]
        self._datasets = database["datasets"]
        self._dataset, self._actor = dataset, actor
        self._samples.create_index([("dataset", 1), ("state", 1)])

    def _id(self, sha256: str) -> str:
        return f"{self._dataset}/{sha256}"

    def labels(self, hashes: list[str]) -> dict[str, str]:
        """Label of each of these samples that is known already."""
        wanted = {"_id": {"$in": [self._id(sha) for sha in hashes]}}
        found = self._samples.find(wanted, {"sha256": 1, "label": 1})
        return {document["sha256"]: document["label"] for document in found}

    def known_classes(self) -> list[str]:
        """Classes that the dataset has so far."""
        document = self._datasets.find_one({"_id": self._dataset}, {"classes": 1})
        return [] if document is None else list(document["classes"])

    def add(self, samples: list[NewSample], segment: str) -> set[str]:
        """Insert those that are not there; the hashes of those that this call inserted."""
        from pymongo import UpdateOne
        from pymongo.errors import BulkWriteError

        writes = [
            UpdateOne(
                {"_id": self._id(sample.sha256)},
                {"$setOnInsert": self._document(sample, segment)},
                upsert=True,
            )
            for sample in samples
        ]
        try:
            self._samples.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            # Two upserts of one _id at once: the loser is told so, and the sample is there.
            errors = (error.details or {}).get("writeErrors", [])
            if any(e.get("code") != DUPLICATE_KEY for e in errors):
                raise
        # Whose write it was is read back: it is true after a lost answer, too.
        mine = {"_id": {"$in": [self._id(s.sha256) for s in samples]}, "segment": segment}
        return {document["sha256"] for document in self._samples.find(mine, {"sha256": 1})}

    def _document(self, sample: NewSample, segment: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        first = {"at": now, "by": self._actor, "label": sample.label, "state": "active"}
        return {
            "dataset": self._dataset,
            "sha256": sample.sha256,
            "name": sample.name,
            "segment": segment,
            "size_bytes": sample.size_bytes,
            "split": sample.split,
            "side": None,
            "group": None,
            "state": "active",
            "label": sample.label,
            "history": [first],
            "added_at": now,
            "origin": "import",
        }

    def is_settled(self, sha256: str, claimed: str) -> bool:
        """True where a person has decided already what this label would bring up again."""
        sample = self._samples.find_one({"_id": self._id(sha256)})
        if sample is None or sample["state"] != "active":
            return sample is not None and sample["state"] == "deleted"
        return any(claimed in (e["label"], e.get("claimed")) for e in sample["history"])

    def dispute(self, sha256: str, claimed: str) -> None:
        """Mark a sample that came under a second label; doing it again changes nothing."""
        sample = self._samples.find_one({"_id": self._id(sha256)})
        if any(entry.get("claimed") == claimed for entry in sample["history"]):
            return
        entry = {
            "at": datetime.now(UTC),
            "by": self._actor,
            "label": sample["label"],
            "state": "disputed",
            "claimed": claimed,
        }
        self._samples.update_one(
            {
                "_id": sample["_id"],
                "history.claimed": {"$ne": claimed},
                # What a person decides at this very moment stands.
                "label": sample["label"],
                "state": {"$ne": "deleted"},
            },
            {"$push": {"history": entry}, "$set": {"state": "disputed"}},
        )

    def write_dataset(self, title: str, classes: set[str]) -> None:
        """Make the dataset's document, or add classes to it; they stay sorted."""
        fresh = {
            "title": title or self._dataset,
            "task": "image_classification",
            "classes": [],
            "created_at": datetime.now(UTC),
        }
        key = {"_id": self._dataset}
        self._datasets.update_one(key, {"$setOnInsert": fresh}, upsert=True)
        if title:
            self._datasets.update_one(key, {"$set": {"title": title}})
        for _ in range(ATTEMPTS):
            old = self.known_classes()
            merged = sorted(set(old) | classes)
            if merged == old:
                return
            # Another import may add classes at the same moment.
            if self._datasets.update_one(
                key | {"classes": old}, {"$set": {"classes": merged}}
            ).matched_count:
                return
        raise RuntimeError(f"dataset {self._dataset}: its classes kept changing, try again")
