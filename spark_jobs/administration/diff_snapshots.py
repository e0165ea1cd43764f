"""What differs between two snapshots."""

import pyarrow as pa

from spark_jobs.administration.spec import (
    DiffSnapshotsSpec,
    LabelChange,
    SnapshotDiff,
    SnapshotRow,
)
from spark_jobs.snapshots import read_labels


def _rows(labels: pa.Table) -> dict[str, SnapshotRow]:
    rows = labels.select(["sha256", "name", "label"]).to_pylist()
    return {row["sha256"]: SnapshotRow(**row) for row in rows}


def compare_labels(
    old: dict[str, SnapshotRow], new: dict[str, SnapshotRow]
) -> tuple[list[SnapshotRow], list[SnapshotRow], list[LabelChange]]:
    """Added, removed, relabelled."""
    changed = [
        LabelChange(sha256=sha, name=new[sha].name, old=old[sha].label, new=new[sha].label)
        for sha in old.keys() & new.keys()
        if old[sha].label != new[sha].label
    ]
    return (
        sorted((new[sha] for sha in new.keys() - old.keys()), key=lambda row: row.name),
        sorted((old[sha] for sha in old.keys() - new.keys()), key=lambda row: row.name),
        sorted(changed, key=lambda row: row.name),
    )


def diff_snapshots(spec: DiffSnapshotsSpec) -> SnapshotDiff:
    """Compare both snapshots' labels."""
    added, removed, relabelled = compare_labels(
        *(_rows(read_labels(spec.snapshots_uri, name)) for name in (spec.old, spec.new))
    )
    return SnapshotDiff(
        old=spec.old,
        new=spec.new,
        added=tuple(added),
        removed=tuple(removed),
        relabelled=tuple(relabelled),
    )
