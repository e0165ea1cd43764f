"""Immutable, hash-named lists of samples."""

import hashlib
import io
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.bundle.manifest import ONE, Task
from serving.job import store
from serving.job.errors import UserError
from serving.job.labels import list_classes
from serving.job.spec import Spec
from spark_jobs.sides import SIDES
from spark_jobs.spec import Side

LABELS_FILE = "labels.parquet"
MANIFEST_FILE = "manifest.json"
LABELS = pa.schema(
    [(name, pa.string()) for name in ("sha256", "label", "group", "side", "segment", "name")]
)


class SnapshotManifest(Spec):
    """manifest.json of a snapshot.

    counts: side → class → samples; one with several labels counts under each. sides: side →
    samples; empty in older ones, whose samples have one label.
    """

    snapshot_id: str
    dataset: str
    task: Task = ONE
    classes: tuple[str, ...]
    counts: dict[Side, dict[str, int]]
    sides: dict[Side, int] = {}
    samples: int
    created_at: datetime

    def count_side(self, side: Side) -> int:
        """Samples on one side."""
        return self.sides[side] if self.sides else sum(self.counts[side].values())


Row = tuple[str, str, str | None, str]


def snapshot_id(rows: Iterable[Row]) -> str:
    """20 hex digits over (sample, label, group, side) rows: the same in any order, anywhere."""
    digest = hashlib.sha256()
    # JSON keeps the fields apart, whatever stands in a label.
    for line in sorted(json.dumps(row, ensure_ascii=True) for row in rows):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:20]


def count_samples(
    labels: pa.Table, classes: tuple[str, ...], task: Task = ONE
) -> dict[Side, dict[str, int]]:
    """Side → class → samples, zeros included; a sample with several labels counts under each."""
    counts: dict[Side, dict[str, int]] = {side: dict.fromkeys(classes, 0) for side in SIDES}
    pairs = zip(labels["side"].to_pylist(), labels["label"].to_pylist(), strict=True)
    for side, label in pairs:
        for name in list_classes(label, task):
            counts[side][name] += 1
    return counts


def write_snapshot(
    root_uri: str, dataset: str, labels: pa.Table, task: Task = ONE
) -> SnapshotManifest:
    """Write the snapshot of these LABELS rows, unless it is there: then it is taken as it is."""
    table = labels.select(LABELS.names).cast(LABELS).sort_by("sha256")
    identity = zip(
        (f"{dataset}/{sha256}" for sha256 in table["sha256"].to_pylist()),
        table["label"].to_pylist(),
        table["group"].to_pylist(),
        table["side"].to_pylist(),
        strict=True,
    )
    name = snapshot_id(identity)
    target = store.join(root_uri, name)
    manifest_uri = store.join(target, MANIFEST_FILE)
    if not store.exists(manifest_uri):
        found = set(table["label"].to_pylist())
        classes = tuple(sorted({name for label in found for name in list_classes(label, task)}))
        sides = table["side"].to_pylist()
        manifest = SnapshotManifest(
            snapshot_id=name,
            dataset=dataset,
            task=task,
            classes=classes,
            counts=count_samples(table, classes, task),
            sides={side: sides.count(side) for side in SIDES},
            samples=table.num_rows,
            created_at=datetime.now(UTC),
        )
        # Aside, then one rename: nobody sees half a snapshot.
        aside = store.join(root_uri, ".tmp", uuid.uuid4().hex)
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        store.write_bytes(store.join(aside, LABELS_FILE), buffer.getvalue())
        store.write_model(store.join(aside, MANIFEST_FILE), manifest)
        if not store.rename(aside, target):
            store.delete(aside)
    return store.read_model(manifest_uri, SnapshotManifest)


def read_labels(root_uri: str, name: str) -> pa.Table:
    """LABELS rows of a snapshot; UserError where its file is gone."""
    uri = store.join(root_uri, name, LABELS_FILE)
    try:
        return pq.read_table(io.BytesIO(store.read_bytes(uri)), schema=LABELS)
    except FileNotFoundError:
        raise UserError(
            f"Snapshot {name} is not there any more: {uri} is missing. ./modelmill snapshots "
            "lists those that are known."
        ) from None


def record_snapshot(database: Any, manifest: SnapshotManifest, uri: str, cutoff: datetime) -> None:
    """Note the snapshot in MongoDB, once."""
    fields = {
        "dataset": manifest.dataset,
        "cutoff": cutoff,
        "task": manifest.task,
        "samples": manifest.samples,
        "sides": {side: manifest.count_side(side) for side in SIDES},
        # Class names may hold dots and dollars, which are not safe in keys.
        "counts": [
            {"side": side, "label": label, "samples": count}
            for side, by_class in manifest.counts.items()
            for label, count in by_class.items()
        ],
        "manifest_uri": uri,
    }
    database["snapshots"].update_one(
        {"_id": manifest.snapshot_id}, {"$setOnInsert": fields}, upsert=True
    )


def list_purged(database: Any, dataset: str) -> set[str]:
    """sha256 of samples whose bytes are gone, or about to be."""
    deleted = {"dataset": dataset, "state": "deleted"}
    gone = {**deleted, "$or": [{"segment": ""}, {"purging": True}]}
    return {one["sha256"] for one in database["samples"].find(gone, {"sha256": 1})}


def mark_purged(database: Any, dataset: str, name: str, hashes: Iterable[str]) -> None:
    """Note how many of a snapshot's samples are gone, if any; after it was recorded.

    A purge marks the snapshots that it finds, and this one may have come too late for that.
    """
    count = len(list_purged(database, dataset).intersection(hashes))
    if count:
        database["snapshots"].update_one({"_id": name}, {"$set": {"purged": count}})
