"""Many predictions, and what measuring them costs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from serving.job.evaluation import Evaluation
from spark_jobs.arrays import make_array, wrap_numbers
from spark_jobs.metrics.evaluation import choose_thresholds, evaluate_scores
from spark_jobs.session import open_session
from tests.spark_jobs.measuring.growth import prepare_spark
from tests.spark_jobs.measuring.processes import Cost, measure, watch_memory

Batches = Iterator[pa.RecordBatch]
SCHEMA = "sha256 string, label string, predicted string, score double, scores array<float>"
ROWS = 10_000


def name_classes(count: int) -> tuple[str, ...]:
    """As they are called."""
    return tuple(f"class {number:04}" for number in range(count))


def make_maker(classes: tuple[str, ...]) -> Callable[[Batches], Batches]:
    """Runs in the executors: numbers → rows of SCHEMA, right about three times in four."""
    width = len(classes)

    def make(batches: Batches) -> Batches:
        for batch in batches:
            numbers = batch["id"].to_pylist()
            chance = np.random.default_rng(numbers[0])
            truth = chance.integers(0, width, len(numbers))
            logits = chance.normal(size=(len(numbers), width)).astype(np.float32)
            logits[np.arange(len(numbers)), truth] += chance.normal(4, 1.5, len(numbers))
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
            offsets = np.arange(0, (len(numbers) + 1) * width, width, dtype=np.int32)
            flat = wrap_numbers(scores.ravel(), pa.float32())
            arrays = [
                make_array([f"{number:064x}" for number in numbers], pa.string()),
                make_array([classes[k] for k in truth], pa.string()),
                make_array([classes[k] for k in scores.argmax(axis=1)], pa.string()),
                wrap_numbers(scores.max(axis=1), pa.float64()),
                pa.Array.from_buffers(
                    pa.list_(pa.float32()),
                    len(numbers),
                    [None, pa.py_buffer(offsets)],
                    children=[flat],
                ),
            ]
            names = [column.split()[0] for column in SCHEMA.split(", ")]
            yield pa.RecordBatch.from_arrays(arrays, names)

    return make


def open_two_cores(memory: str) -> SparkSession:
    """A session of local[2]."""
    prepare_spark(memory, master="local[2]")
    return open_session("bench evaluate")


def write_predictions(folder: Path, samples: int, classes: int, memory: str) -> bool:
    """Parquet files as the scorer writes them; True once they are there."""
    spark = open_two_cores(memory)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS))
    numbers = spark.range(0, samples, numPartitions=max(2, samples // 125_000))
    rows = numbers.mapInArrow(make_maker(name_classes(classes)), SCHEMA)
    rows.write.parquet(folder.as_uri())
    spark.stop()
    return True


def measure_predictions(folder: Path, classes: int, memory: str) -> tuple[Cost, int, Evaluation]:
    """Cost of all numbers once the session is up, the tree's peak memory in bytes, the numbers."""
    spark = open_two_cores(memory)
    scored = spark.read.schema(SCHEMA).parquet(folder.as_uri())
    found: list[Evaluation] = []

    def work() -> None:
        names = name_classes(classes)
        # Of the same rows, which is as dear as of others.
        thresholds = choose_thresholds(scored, names)
        found.append(evaluate_scores(scored, names, thresholds=thresholds))

    with watch_memory() as peak:
        cost = measure(work)
    spark.stop()
    return cost, peak[0], found[0]
