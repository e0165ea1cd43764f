"""The snapshot's labels.parquet: what of its rows does not depend on the task."""

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.job import store
from serving.job.errors import UserError
from serving.job.text import list_some
from training.spec import TrainSpec
from training.tasks.protocol import Integers, Probe, Samples, Targets

PROBES = 3
NAMED = 20
LABELS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("sha256", "label", "group", "side", "segment")),
        # Null where the file has no such column.
        pa.field("sample_weight", pa.float64()),
        pa.field("sample_repeats", pa.int64()),
    ]
)
# A stored label → the classes that it names.
NameClasses = Callable[[str], tuple[str, ...]]


def read_labels(spec: TrainSpec, name_classes: NameClasses) -> pa.Table:
    """Rows of the train and val side by sha256; UserError where they cannot be trained on."""
    labels = _read_rows(spec)
    _check_classes(labels, spec, name_classes)
    return labels


def _read_rows(spec: TrainSpec) -> pa.Table:
    labels = pq.read_table(io.BytesIO(store.read_bytes(spec.labels_uri)), schema=LABELS)
    labels = labels.filter(pc.is_in(labels["side"], pa.array(["train", "val"])))
    # The order of the rows decides the batches: it must not depend on how Spark wrote them.
    return labels.sort_by("sha256")


def _check_classes(labels: pa.Table, spec: TrainSpec, name_classes: NameClasses) -> None:
    unknown = sorted(_list_classes(labels, name_classes) - set(spec.classes))
    if unknown:
        raise UserError(
            f"The snapshot has samples of {list_some(unknown, NAMED)}, which are not among "
            f"the classes of this run: {list_some(spec.classes, NAMED)}."
        )
    train = labels.filter(pc.equal(labels["side"], "train"))
    there = _list_classes(train, name_classes)
    empty = [name for name in spec.classes if name not in there]
    if empty:
        raise UserError(
            f"{list_some(empty, NAMED)}: no sample to train on. Every class needs at least one "
            f"sample on the train side: import more pictures of it, or remove the class."
        )
    if train.num_rows == labels.num_rows:
        raise UserError(
            f"Dataset {spec.dataset} has {train.num_rows} samples to train on and none on the val "
            f"side, without which training cannot know when to stop: import more pictures."
        )


def _list_classes(labels: pa.Table, name_classes: NameClasses) -> set[str]:
    return {name for label in labels["label"].unique().to_pylist() for name in name_classes(label)}


def make_samples(labels: pa.Table, targets: Targets, strata: Integers) -> Samples:
    """Samples of read_labels' rows, in their order."""
    val = pc.equal(labels["side"], "val").to_numpy()
    # A sample without a group is one of its own.
    groups = pc.coalesce(labels["group"], labels["sha256"]).combine_chunks().dictionary_encode()
    weights = pc.fill_null(labels["sample_weight"], 1.0).to_numpy().astype(np.float32)
    repeats = pc.fill_null(labels["sample_repeats"], 1).to_numpy().astype(np.int64)
    return Samples(
        sha256=tuple(labels["sha256"].to_pylist()),
        targets=targets,
        strata=strata,
        val=val,
        groups=groups.indices.to_numpy().astype(np.int64),
        weights=np.where(val, np.float32(1), weights),
        repeats=np.where(val, 1, repeats),
    )


def read_probe(spec: TrainSpec) -> Probe:
    """Read the raw bytes of a few val samples, all from one segment: a segment is read whole."""
    labels = _read_rows(spec)
    val = labels.filter(pc.equal(labels["side"], "val"))
    segment = val["segment"][0].as_py()
    chosen = val.filter(pc.equal(val["segment"], segment))["sha256"].slice(0, PROBES)
    content = store.read_bytes(segment)
    raw = pq.read_table(io.BytesIO(content), columns=["sha256", "content"])
    raw = raw.filter(pc.is_in(raw["sha256"], chosen.combine_chunks())).sort_by("sha256")
    return Probe(contents=tuple(raw["content"].to_pylist()))


def read_contents(
    spec: TrainSpec, sha256: Sequence[str], places: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    """Read raw bytes segment by segment; UserError where the store has lost some."""
    left = {sha256[place]: place for place in places}
    labels = _read_rows(spec)
    labels = labels.filter(pc.is_in(labels["sha256"], pa.array(left, pa.string())))
    for segment in sorted(set(labels["segment"].to_pylist())):
        raw = pq.read_table(io.BytesIO(store.read_bytes(segment)), columns=["sha256", "content"])
        raw = raw.filter(pc.is_in(raw["sha256"], pa.array(left, pa.string())))
        for row in raw.to_pylist():
            # A segment may hold the same bytes twice.
            if (place := left.pop(row["sha256"], None)) is not None:
                yield place, row["content"]
    if left:
        raise UserError(
            f"{len(left)} of {len(places)} samples are not in their segments (first: "
            f"{min(left)}). Import the pictures again: that brings back lost bytes."
        )
