"""The test side of a snapshot, and where its bytes lie today."""

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


def read_test_side(spec: EvaluateSpec) -> pa.Table:
    """sha256, name, label, segment of the snapshot's test side; raises UserError."""
    content = store.read_bytes(spec.labels_uri)
    columns = ["sha256", "name", "label", "side"]
    labels = pq.read_table(io.BytesIO(content), columns=columns)
    test = labels.filter(pc.equal(labels["side"], make_array(["test"], pa.string())[0]))
    if test.num_rows == 0:
        raise UserError(f"Snapshot {spec.snapshot_id} has no test side: nothing can be measured.")
    hashes = test["sha256"].to_pylist()
    # A purge may have written segments anew since the etl.
    with connect() as database:
        places = locate_samples(database, spec.dataset, set(hashes))
    names = [places.get(sha256, "") for sha256 in hashes]
    if "" in names:
        raise UserError(
            f"{names.count('')} of {test.num_rows} test samples were purged since snapshot "
            f"{spec.snapshot_id} was made: start a new run, whose snapshot leaves them out."
        )
    segments = [store.join(spec.raw_uri, name) for name in names]
    return test.drop_columns(["side"]).append_column("segment", make_array(segments, pa.string()))


def open_raw(spark: SparkSession, raw_uri: str, segments: Iterable[str]) -> RawContent:
    """Those of these segments that are there, wherever the store is now."""
    names = {name_segment(uri) for uri in segments} & set(store.list_names(raw_uri))
    return RawContent(spark, tuple(store.join(raw_uri, name) for name in sorted(names)))
