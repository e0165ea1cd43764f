"""Train again on a snapshot that is there: its labels, groups and sides instead of MongoDB's."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.job import store
from serving.job.errors import UserError
from serving.job.text import list_some
from spark_jobs.arrays import make_array
from spark_jobs.database import connect
from spark_jobs.schemas import WEIGHTS
from spark_jobs.snapshots import (
    LABELS,
    LABELS_FILE,
    MANIFEST_FILE,
    SnapshotManifest,
    read_labels,
)
from spark_jobs.spec import EtlSpec

SHOWN = 10
SOURCE = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("sha256", "name", "label", "group")),
        *(pa.field(name, pa.string()) for name in ("split", "side", "segment")),
        pa.field("size_bytes", pa.int64()),
        pa.field("reject_reason", pa.string()),
    ]
)


def read_snapshot_samples(spec: EtlSpec) -> pa.Table:
    """The columns of tables.read_samples, as the snapshot has them; UserError where one is gone."""
    rows = read_labels(spec.snapshots_uri, spec.snapshot_id).to_pylist()
    manifest = read_manifest(spec)
    if manifest.dataset != spec.dataset:
        raise UserError(
            f"Snapshot {spec.snapshot_id} is one of dataset {manifest.dataset!r}, not of "
            f"{spec.dataset!r}: ./modelmill snapshots --dataset {spec.dataset} lists those."
        )
    with connect() as database:
        shape = {"sha256": 1, "segment": 1, "size_bytes": 1}
        found = database["samples"].find({"dataset": spec.dataset}, shape)
        stored = {document["sha256"]: document for document in found}
    _check_bytes(spec, rows, stored)
    source = [
        {
            **{name: row[name] for name in ("sha256", "name", "label", "group", "side")},
            "split": None,
            # Where the bytes lie now: a segment may have been written anew since.
            "segment": store.join(
                spec.raw_uri, stored[row["sha256"]]["segment"].rsplit("/", 1)[-1]
            ),
            "size_bytes": stored[row["sha256"]]["size_bytes"],
            "reject_reason": None,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(source, SOURCE)


def read_manifest(spec: EtlSpec) -> SnapshotManifest:
    """Of the snapshot that is taken again."""
    uri = store.join(spec.snapshots_uri, spec.snapshot_id, MANIFEST_FILE)
    return store.read_model(uri, SnapshotManifest)


def _refuse(spec: EtlSpec, count: int, why: str, details: Sequence[str]) -> UserError:
    return UserError(
        f"Snapshot {spec.snapshot_id} cannot be trained on again: {count} of its samples {why}: "
        f"{list_some(details, SHOWN, '; ')}. Leave the snapshot empty to train on what is there."
    )


def _check_bytes(
    spec: EtlSpec, rows: Sequence[Mapping[str, Any]], stored: Mapping[str, Mapping[str, Any]]
) -> None:
    gone = sorted(
        f"{row['name']} ({row['sha256'][:12]})"
        for row in rows
        if not stored.get(row["sha256"], {}).get("segment")
    )
    if gone:
        raise _refuse(spec, len(gone), "were purged", gone)


def confirm_snapshot(spec: EtlSpec, rows: pa.Table, missing: pa.Table) -> SnapshotManifest:
    """The snapshot's manifest, if the stages left every row as it is; raises UserError."""
    lost = [f"{row['name']} (its raw bytes are missing)" for row in missing.to_pylist()]
    rejected = rows.filter(pc.is_valid(rows["reject_reason"])).to_pylist()
    lost += [f"{row['name']} ({row['reject_reason']})" for row in rejected]
    if lost:
        raise _refuse(spec, len(lost), "cannot be used any more", sorted(lost))
    columns = ["sha256", "label", "side"]
    kept = {
        row["sha256"]: row
        for row in read_labels(spec.snapshots_uri, spec.snapshot_id).select(columns).to_pylist()
    }
    changed = [
        f"{row['sha256'][:12]}"
        for row in rows.select(columns).to_pylist()
        if row != kept.get(row["sha256"])
    ]
    if changed:
        raise _refuse(spec, len(changed), "got another label or side from a stage", changed)
    return read_manifest(spec)


def place_labels(spec: EtlSpec, snapshot_id: str, labels: pa.Table) -> str:
    """URI of labels.parquet with today's segments, and with WEIGHTS where a stage set them.

    A snapshot is immutable. Its segments are not: after a purge its samples lie in others; and how
    much a sample counts is the run's choice. Then the run gets a copy of its own.
    """
    table = read_labels(spec.snapshots_uri, snapshot_id)
    weights = [name for name in WEIGHTS.names if name in labels.column_names]
    columns = labels.select(["sha256", "segment", *weights])
    now = {row["sha256"]: row for row in columns.to_pylist()}
    rows = [now[sha256] for sha256 in table["sha256"].to_pylist()]
    segments = [row["segment"] for row in rows]
    if not weights and segments == table["segment"].to_pylist():
        return store.join(spec.snapshots_uri, snapshot_id, LABELS_FILE)
    index = table.schema.get_field_index("segment")
    current = table.set_column(index, LABELS.field("segment"), pa.array(segments, pa.string()))
    for name in weights:
        values = make_array([row[name] for row in rows], columns.schema.field(name).type)
        current = current.append_column(name, values)
    buffer = io.BytesIO()
    pq.write_table(current, buffer)
    uri = store.join(spec.output_uri, LABELS_FILE)
    store.write_bytes(uri, buffer.getvalue())
    return uri
