"""The val and test sides of a snapshot, and where their bytes lie today."""

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.administration.raw import locate_samples, name_segment
from spark_jobs.arrays import make_array
from spark_jobs.database import connect
from spark_jobs.spec import EvaluateSpec
from spark_jobs.tables import RawContent

COLUMNS = ("sha256", "name", "label", "group", "side")
HELD_OUT = ("val", "test")


def read_held_out(spec: EvaluateSpec) -> pa.Table:
    """COLUMNS and segment of the snapshot's val and test sides; raises UserError.

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
    names = [places.get(sha256, "") for sha256 in hashes]
    lost = sum(side == "test" and not name for side, name in zip(sides, names, strict=True))
    if lost:
        raise UserError(
            f"{lost} of {sides.count('test')} test samples were purged since snapshot "
            f"{spec.snapshot_id} was made: start a new run, whose snapshot leaves them out."
        )
    segments = [store.join(spec.raw_uri, name) if name else None for name in names]
    held = held.append_column("segment", make_array(segments, pa.string()))
    return held.filter(pc.is_valid(held["segment"]))


def open_raw(spark: SparkSession, raw_uri: str, segments: Iterable[str]) -> RawContent:
    """Those of these segments that are there, wherever the store is now."""
    names = {name_segment(uri) for uri in segments} & set(store.list_names(raw_uri))
    return RawContent(spark, tuple(store.join(raw_uri, name) for name in sorted(names)))
