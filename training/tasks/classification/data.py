"""Snapshot and cached features → train and val examples."""

import io

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.job import store
from serving.job.errors import UserError
from training.spec import TrainSpec
from training.tasks.protocol import Examples, Probe, Sides, TrainExamples

PROBES = 6
LABELS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("sha256", "label", "side", "segment")),
        # Null where the file has no such column.
        pa.field("sample_weight", pa.float64()),
        pa.field("sample_repeats", pa.int64()),
    ]
)


def _read_table(uri: str, columns: list[str]) -> pa.Table:
    return pq.read_table(io.BytesIO(store.read_bytes(uri)), columns=columns)


def _read_labels(spec: TrainSpec) -> pa.Table:
    labels = pq.read_table(io.BytesIO(store.read_bytes(spec.labels_uri)), schema=LABELS)
    labels = labels.filter(pc.is_in(labels["side"], pa.array(["train", "val"])))
    # The order of the rows decides the batches: it must not depend on how Spark wrote them.
    return labels.sort_by("sha256")


def read_vectors(features_uri: str, wanted: pa.Array) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors of the wanted samples; the folder may hold those of other datasets too."""
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    for name in store.list_names(features_uri):
        if not name.endswith(".parquet") or name.startswith(("_", ".")):
            continue
        table = _read_table(store.join(features_uri, name), ["sha256", "vector"])
        table = table.filter(pc.is_in(table["sha256"], wanted))
        if table.num_rows:
            column = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows = column.astype(np.float32, copy=False).reshape(table.num_rows, -1)
            vectors.update(zip(table["sha256"].to_pylist(), rows, strict=True))
    return vectors


def _check_classes(labels: pa.Table, spec: TrainSpec) -> None:
    unknown = sorted(set(labels["label"].to_pylist()) - set(spec.classes))
    if unknown:
        raise UserError(
            f"The snapshot has samples of {', '.join(map(repr, unknown))}, which are not among "
            f"the classes of this run: {', '.join(map(repr, spec.classes))}."
        )
    train = labels.filter(pc.equal(labels["side"], "train"))
    there = set(train["label"].to_pylist())
    empty = [name for name in spec.classes if name not in there]
    if empty:
        raise UserError(
            f"{', '.join(map(repr, empty))}: no sample to train on. Every class needs at least one "
            f"sample on the train side: import more pictures of it, or remove the class."
        )
    if train.num_rows == labels.num_rows:
        raise UserError(
            f"Dataset {spec.dataset} has {train.num_rows} samples to train on and none on the val "
            f"side, without which training cannot know when to stop: import more pictures."
        )


def read_sides(spec: TrainSpec) -> Sides:
    """Read the train and val side, in an order that only the samples decide."""
    labels = _read_labels(spec)
    _check_classes(labels, spec)
    features_uri = spec.inputs[0].features_uri
    vectors = read_vectors(features_uri, labels["sha256"].combine_chunks())
    missing = [sha for sha in labels["sha256"].to_pylist() if sha not in vectors]
    if missing:
        raise UserError(
            f"{len(missing)} of {labels.num_rows} samples have no features in {features_uri} "
            f"(first: {missing[0]}). Run etl again: it makes those that are missing."
        )
    position = {name: i for i, name in enumerate(spec.classes)}

    def examples(rows: pa.Table) -> Examples:
        return Examples(
            inputs=np.stack([vectors[sha] for sha in rows["sha256"].to_pylist()]),
            targets=np.array([position[name] for name in rows["label"].to_pylist()], np.int64),
        )

    train, val = (labels.filter(pc.equal(labels["side"], side)) for side in ("train", "val"))
    return Sides(
        train=TrainExamples(
            **vars(examples(train)),
            weights=pc.fill_null(train["sample_weight"], 1.0).to_numpy().astype(np.float32),
            repeats=pc.fill_null(train["sample_repeats"], 1).to_numpy(),
        ),
        val=examples(val),
    )


def read_probe(spec: TrainSpec) -> Probe:
    """Read the raw bytes of a few val samples, all from one segment: a segment is read whole."""
    labels = _read_labels(spec)
    val = labels.filter(pc.equal(labels["side"], "val"))
    segment = val["segment"][0].as_py()
    chosen = val.filter(pc.equal(val["segment"], segment))["sha256"].slice(0, PROBES)
    raw = _read_table(segment, ["sha256", "content"])
    raw = raw.filter(pc.is_in(raw["sha256"], chosen.combine_chunks())).sort_by("sha256")
    return Probe(contents=tuple(raw["content"].to_pylist()))
