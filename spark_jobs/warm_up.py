"""Touch what every data job touches, on a few rows: its Java classes are then archived.

A JVM that maps its classes from an archive (-XX:SharedArchiveFile) need not read, check and link
thousands of them from jars at each start.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from serving.job import store
from spark_jobs.session import make_frame, open_session
from spark_jobs.spec import WarmUpOutcome, WarmUpSpec

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 8


def _pass_on(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    yield from batches


def run_warm_up(spec: WarmUpSpec) -> WarmUpOutcome:
    """Read from MongoDB; write, read, map, keep, join and count Parquet below output_uri."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as F
    from pyspark.storagelevel import StorageLevel

    from spark_jobs.tables import read_samples

    spark = open_session("warm up")
    # No dataset can have this name, so the connector runs its whole way and finds nothing.
    none = read_samples(spark, "-", datetime.now(UTC), spec.output_uri)
    rows = spark.range(ROWS).select(
        F.sha2(F.col("id").cast("string"), 256).alias("sha256"),
        F.col("id").cast("string").cast("binary").alias("content"),
    )
    place = store.join(spec.output_uri, "rows")
    rows.write.mode("overwrite").parquet(place)
    read = spark.read.parquet(place)
    mapped = read.mapInArrow(_pass_on, read.schema).persist(StorageLevel.MEMORY_AND_DISK)
    known = mapped.where(F.col("content").isNotNull()).select("sha256").distinct()
    sent = make_frame(spark, known.toArrow()).withColumn("there", F.lit(True))
    joined = mapped.join(F.broadcast(none.select("sha256", "label")), on="sha256", how="left")
    joined = joined.join(F.broadcast(sent), on="sha256", how="left")
    counted = joined.observe(Observation("rows"), F.count(F.lit(1)).alias("rows"))
    hashes = counted.select("sha256", "label", "there").toArrow()["sha256"].to_pylist()
    count = read.where(F.col("sha256").isin(hashes)).count()
    spark.stop()
    return WarmUpOutcome(rows=count)
