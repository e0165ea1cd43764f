"""The val and test sides of a snapshot, and where their bytes lie today."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.administration.raw import locate_samples, name_segment
from spark_jobs.arrays import make_array
from spark_jobs.database import connect
from spark_jobs.spec import EvaluateSpec
from spark_jobs.tables import RawContent

COLUMNS = ("sha256", "name", "label", "group", "side")
HELD_OUT = ("val", "test")


def _read_days(database: Any, dataset: str) -> dict[str, str]:
    """sha256 → the day on which the sample was added, UTC."""
    fields = {"sha256": 1, "added_at": 1}
    found = database["samples"].find({"dataset": dataset}, fields)
    return {one["sha256"]: f"{one['added_at']:%Y-%m-%d}" for one in found if one.get("added_at")}


def read_held_out(spec: EvaluateSpec) -> pa.Table:
    """Rows of scoring.GIVEN of the snapshot's val and test sides; raises UserError.

    All of the test side; of the val side, which only thresholds are chosen on, what is there.
    """
    content = store.read_bytes(spec.labels_uri)
    labels = pq.read_table(io.BytesIO(content), columns=list(COLUMNS))
    held = labels.filter(pc.is_in(labels["side"], make_array(HELD_OUT, pa.string())))
    sides = held["side"].to_pylist()
    if "test" not in sides:
        raise UserError(f"Snapshot {spec.snapshot_id} has no test side: nothing can be measured.")
    hashes = held["sha256"].to_pylist()
    # A purge may have written segments anew since the etl.
    with connect() as database:
        places = locate_samples(database, spec.dataset, set(hashes))
        days = _read_days(database, spec.dataset)
    names = [places.get(sha256, "") for sha256 in hashes]
    lost = sum(side == "test" and not name for side, name in zip(sides, names, strict=True))
    if lost:
        raise UserError(
            f"{lost} of {sides.count('test')} test samples were purged since snapshot "
            f"{spec.snapshot_id} was made: start a new run, whose snapshot leaves them out."
        )
    segments = [store.join(spec.raw_uri, name) if name else None for name in names]
    held = held.append_column("segment", make_array(segments, pa.string()))
    added = [days.get(sha256) for sha256 in hashes]
    held = held.append_column("added", make_array(added, pa.string()))
    return held.filter(pc.is_valid(held["segment"]))


def read_train_side(spark: SparkSession, labels_uri: str) -> DataFrame:
    """sha256, name, label of the snapshot's train side."""
    labels = spark.read.parquet(labels_uri)
    return labels.where(F.col("side") == "train").select("sha256", "name", "label")


def open_raw(spark: SparkSession, raw_uri: str, segments: Iterable[str]) -> RawContent:
    """Those of these segments that are there, wherever the store is now."""
    names = {name_segment(uri) for uri in segments} & set(store.list_names(raw_uri))
    return RawContent(spark, tuple(store.join(raw_uri, name) for name in sorted(names)))
