"""Samples and datasets in MongoDB, written so that any step may be done twice or at once."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serving.bundle.manifest import Task
from serving.job.labels import read_task
from serving.job.samples import make_sample

DUPLICATE_KEY = 11000
# Each lost try is another writer's gain; Spark may run hundreds of them at once.
ATTEMPTS = 500


@dataclass(frozen=True)
class NewSample:
    """A picture that lies in a raw segment."""

    sha256: str
    name: str
    label: str
    split: str | None
    group: str | None
    size_bytes: int


@dataclass(frozen=True)
class Known:
    """A sample that the dataset has: its label now, and what has been settled about it.

    segment: where its bytes lie; empty once they were purged.
    """

    label: str
    segment: str = ""
    deleted: bool = False
    split: str | None = None
    overruled: frozenset[str] = frozenset()
    """Labels that it had or was claimed to have before a person decided."""


def _to_known(document: dict[str, Any]) -> Known:
    past = {entry.get(key) for entry in document["history"] for key in ("label", "claimed")}
    # Of a disputed sample nothing is settled yet.
    settled = past - {None} if document["state"] == "active" else set()
    deleted = document["state"] == "deleted"
    split = document.get("split")
    return Known(document["label"], document["segment"], deleted, split, frozenset(settled))


class Ledger:
    """One dataset's samples. Labels are append-only: `history` keeps every state with its time."""

    def __init__(self, database: Any, dataset: str, actor: str) -> None:
        self._samples = database["samples"]
        self._datasets = database["datasets"]
        self.dataset, self._actor = dataset, actor
        self._samples.create_index([("dataset", 1), ("state", 1)])

    def _id(self, sha256: str) -> str:
        return f"{self.dataset}/{sha256}"

    def find(self, hashes: list[str]) -> dict[str, Known]:
        """Those of these samples that are there."""
        wanted = {"_id": {"$in": [self._id(sha) for sha in hashes]}}
        shape = dict.fromkeys(("sha256", "label", "state", "segment", "split"), 1)
        shape |= {"history.label": 1, "history.claimed": 1}
        return {d["sha256"]: _to_known(d) for d in self._samples.find(wanted, shape)}

    def known_classes(self) -> list[str]:
        """Classes that the dataset has so far."""
        document = self._datasets.find_one({"_id": self.dataset}, {"classes": 1})
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

    def restore(self, lost: dict[str, str], segment: str) -> int:
        """Point samples to the segment that holds their bytes again; how many this call pointed.

        lost: sha256 → the segment that is gone. What was purged or moved meanwhile stays so.
        """
        for gone in set(lost.values()):
            ids = [self._id(sha) for sha, old in lost.items() if old == gone]
            wanted = {"_id": {"$in": ids}, "segment": gone, "state": {"$ne": "deleted"}}
            self._samples.update_many(wanted, {"$set": {"segment": segment}})
        mine = {"_id": {"$in": [self._id(sha) for sha in lost]}, "segment": segment}
        return int(self._samples.count_documents(mine))

    def _document(self, sample: NewSample, segment: str) -> dict[str, Any]:
        return make_sample(
            self.dataset,
            sample.sha256,
            sample.name,
            sample.label,
            segment=segment,
            size_bytes=sample.size_bytes,
            by=self._actor,
            split=sample.split,
            group=sample.group,
        )

    def dispute(self, sha256: str, claimed: str) -> None:
        """Mark a sample that came under a second label; doing it again changes nothing.

        A label that the sample has had or that was claimed before is no news: a person may have
        decided since, and importing the same files again must not undo that. What a person
        deleted stays deleted.
        """
        for _ in range(ATTEMPTS):
            sample = self._samples.find_one({"_id": self._id(sha256)}, {"label": 1})
            entry = {
                "at": datetime.now(UTC),
                "by": self._actor,
                "label": sample["label"],
                "state": "disputed",
                "claimed": claimed,
            }
            news = {
                "_id": sample["_id"],
                "state": {"$ne": "deleted"},
                "history.claimed": {"$ne": claimed},
                "history.label": {"$ne": claimed},
            }
            change = {"$push": {"history": entry}, "$set": {"state": "disputed"}}
            # The entry repeats the label: it must not have changed since it was read.
            if self._samples.update_one(
                news | {"label": sample["label"]}, change
            ).matched_count or not self._samples.count_documents(news, limit=1):
                return
        raise RuntimeError(f"sample {sha256}: its label kept changing, try again")

    def claim_task(self, task: Task, title: str) -> Task:
        """Make the dataset's document where it has none; the task that counts."""
        fresh = {
            "title": title or self.dataset,
            "task": task,
            "classes": [],
            "created_at": datetime.now(UTC),
        }
        self._datasets.update_one({"_id": self.dataset}, {"$setOnInsert": fresh}, upsert=True)
        return read_task(self._datasets.database, self.dataset)

    def write_title(self, title: str) -> None:
        """Free text beside the name."""
        self._datasets.update_one({"_id": self.dataset}, {"$set": {"title": title}})

    def add_classes(self, classes: set[str]) -> None:
        """Add classes to the dataset's list, which stays sorted."""
        key = {"_id": self.dataset}
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
        raise RuntimeError(f"dataset {self.dataset}: its classes kept changing, try again")
