"""Decode, validate, hash and resize: Spark's CPU-seconds against a plain pool of processes.

Both read the same segments, call the same codec, and bring the pixels back to where they would be
used: Spark's to the JVM, the pool's to its parent.
"""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import Preprocessing
from serving.job.inputs import BackboneFile, Input
from serving.job.segments import SegmentWriter
from spark_jobs.arrays import make_array
from spark_jobs.context import CachedInput, StageContext
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.pairs import PairsCache
from spark_jobs.schemas import RAW, SAMPLES
from spark_jobs.session import open_session
from spark_jobs.stages import decode_image
from spark_jobs.tables import FeatureCache, RawContent, mark_cached
from tests.spark_jobs.measuring.processes import measure
from tests.spark_jobs.near_duplicates.pictures import make_scene, shoot

PREPROCESSING = Preprocessing(size=240)
NO_INPUT = Input(
    backbone=BackboneFile(
        name="none", onnx_uri="", sha256="", licence="", features=0, file_bytes=0, latency_ms=0
    ),
    preprocessing=PREPROCESSING,
)
PROCESSES = 2
CHUNK = 64
REPEATS = 3


def write_pictures(folder: Path, count: int, width: int, height: int) -> int:
    """Segments of JPEGs, all different; the mean size, bytes."""
    chance = np.random.default_rng(0)
    scene = make_scene(width, height)
    writer, total = SegmentWriter(), 0
    for number in range(count):
        content = shoot(scene, 4, chance)
        total += len(content)
        writer.add(hashlib.sha256(content).hexdigest(), f"{number}.jpg", content)
        if writer.is_full:
            writer.write(folder.as_uri())
            writer = SegmentWriter()
    if writer.bytes:
        writer.write(folder.as_uri())
    return total // count


def _decode_and_hash(
    decode: Callable[[decode_image.Batches], decode_image.Batches], batches: decode_image.Batches
) -> decode_image.Batches:
    """Hashes as the import makes them, of the content that the batch holds anyway."""
    for batch in decode(batches):
        again = [hashlib.sha256(content).hexdigest() for content in batch["content"].to_pylist()]
        index = batch.schema.get_field_index("sha256")
        yield batch.set_column(index, "sha256", make_array(again, pa.string()))


def decode_with_spark(spark: SparkSession, folder: Path) -> None:
    """The stage itself, over rows as the etl makes them."""
    uris = tuple(path.as_uri() for path in sorted(folder.glob("*.parquet")))
    raw = RawContent(spark, uris)
    context = StageContext(
        spark=spark,
        dataset="bench",
        seed=0,
        cutoff=datetime.now(UTC),
        inputs=(CachedInput(NO_INPUT, FeatureCache(spark, folder.as_uri(), "none")),),
        facts=FactsCache(spark, folder.as_uri()),
        pairs=PairsCache(spark, folder.as_uri()),
        raw=raw,
        findings=Findings(),
    )
    have = spark.read.schema(RAW).parquet(*uris).select("sha256", "content")
    empty = [
        F.lit(None).cast(field.dataType).alias(field.name)
        for field in SAMPLES.fields
        if field.name not in ("sha256", "content")
    ]
    samples = mark_cached(have.select("*", *empty), [context.inputs[0].cache])
    samples = samples.withColumn("cached", F.size("cached") > 0)
    work = partial(_decode_and_hash, decode_image.make_decoder(PREPROCESSING, 1))
    made = samples.mapInArrow(work, samples.schema).drop("content")
    made.write.format("noop").mode("overwrite").save()


def _decode_chunk(contents: list[bytes]) -> list[tuple[str, object]]:
    return [
        (
            hashlib.sha256(content).hexdigest(),
            decode_image.decode_one(content, cached=False, preprocessing=PREPROCESSING, min_side=1),
        )
        for content in contents
    ]


def _read_chunks(folder: Path) -> Iterable[list[bytes]]:
    for path in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(CHUNK, columns=["content"]):
            yield batch["content"].to_pylist()


def decode_with_pool(pool: Pool, folder: Path) -> None:
    """The same calls in plain processes."""
    for _ in pool.imap_unordered(_decode_chunk, _read_chunks(folder)):
        pass


def compare(folder: Path) -> dict[str, float]:
    """Cold: with Spark's start. Warm and pool: the cheapest of REPEATS, run in turns."""
    opened: list[SparkSession] = []

    def start() -> None:
        opened.append(open_session("bench etl"))
        decode_with_spark(opened[0], folder)

    cold = measure(start)
    warm, plain = [], []
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        decode_with_pool(pool, folder)
        for _ in range(REPEATS):
            warm.append(measure(lambda: decode_with_spark(opened[0], folder)))
            plain.append(measure(lambda: decode_with_pool(pool, folder)))
    opened[0].stop()
    spark, own = (min(costs, key=lambda cost: cost.cpu_seconds) for costs in (warm, plain))
    return {
        "cold_seconds": cold.seconds,
        "cold_cpu_seconds": cold.cpu_seconds,
        "warm_seconds": spark.seconds,
        "warm_cpu_seconds": spark.cpu_seconds,
        "pool_seconds": own.seconds,
        "pool_cpu_seconds": own.cpu_seconds,
        "warm_over_pool": spark.cpu_seconds / own.cpu_seconds,
    }
