"""Scoring pictures by Spark against bare onnxruntime in plain processes, on the same cores."""

import multiprocessing
from multiprocessing.pool import Pool
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from serving.bundle.predictor import Predictor
from spark_jobs.schemas import RAW
from spark_jobs.scoring import BATCH, GIVEN, pack_bundle, score_samples
from tests.spark_jobs.measuring.decoding import write_pictures
from tests.spark_jobs.measuring.predictions import open_two_cores
from tests.spark_jobs.measuring.processes import Cost, measure

PROCESSES = 2
REPEATS = 3
_LOADED: list[Predictor] = []


def score_with_spark(spark: SparkSession, folder: Path, bundle: Path) -> None:
    """The job's own function, over rows as it makes them."""
    uris = [path.as_uri() for path in sorted(folder.glob("*.parquet"))]
    raw = spark.read.schema(RAW).parquet(*uris)
    rest = [F.lit("").alias(name) for name in GIVEN.names if name not in ("sha256", "name")]
    samples = raw.select("sha256", "name", "content", *rest)
    scored = score_samples(spark, samples, (pack_bundle(bundle.as_uri()),))
    scored.write.format("noop").mode("overwrite").save()


def _load(bundle: Path) -> None:
    _LOADED.append(Predictor(bundle, threads=1))


def _score_chunk(contents: list[bytes]) -> list[list[float]]:
    (predictor,) = _LOADED
    pictures = [predictor.prepare(content) for content in contents]
    scores: list[list[float]] = predictor.score(pictures).tolist()
    return scores


def score_with_pool(pool: Pool, folder: Path) -> None:
    """Decoding and the network, nothing else."""
    chunks = (
        batch["content"].to_pylist()
        for path in sorted(folder.glob("*.parquet"))
        for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=["content"])
    )
    for _ in pool.imap_unordered(_score_chunk, chunks):
        pass


def compare_scoring(folder: Path, bundle: Path, pictures: int, memory: str) -> dict[str, float]:
    """The fastest of REPEATS, run in turns, both warm."""
    folder.mkdir()
    write_pictures(folder, pictures, 480, 360)
    spark = open_two_cores(memory)
    warm: list[Cost] = []
    plain: list[Cost] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, initializer=_load, initargs=(bundle,)) as pool:
        score_with_spark(spark, folder, bundle)
        score_with_pool(pool, folder)
        for _ in range(REPEATS):
            warm.append(measure(lambda: score_with_spark(spark, folder, bundle)))
            plain.append(measure(lambda: score_with_pool(pool, folder)))
    spark.stop()
    return {
        "spark_pictures_a_second": pictures / min(cost.seconds for cost in warm),
        "bare_pictures_a_second": pictures / min(cost.seconds for cost in plain),
        "spark_over_bare": min(c.seconds for c in plain) / min(c.seconds for c in warm),
        "spark_over_bare_cpu": min(c.cpu_seconds for c in plain) / min(c.cpu_seconds for c in warm),
    }
