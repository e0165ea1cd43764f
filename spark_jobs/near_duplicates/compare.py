"""Compare proposed pairs in the executors, each pair once, ever."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.arrays import make_array
from spark_jobs.near_duplicates.confirm import compare_thumbnails
from spark_jobs.near_duplicates.look import read_thumbnails
from spark_jobs.pairs import Differences, Numbers, Pair, PairsCache
from spark_jobs.session import make_frame

Batches = Iterator[pa.RecordBatch]
COMPARED = pa.schema([("number", pa.int32()), ("difference", pa.float32())])
PAIRS_PER_TASK = 64


@dataclass(frozen=True)
class Comparison:
    """confirmed: pairs that are near-duplicates, sorted; fresh: how many nobody had compared."""

    confirmed: list[Pair]
    fresh: int


def _compare(batches: Batches, allowed: float) -> Batches:
    """Runs in the executors."""
    for batch in batches:
        first, second = (read_thumbnails(batch[n].to_pylist()) for n in ("first", "second"))
        found = compare_thumbnails(first, second, allowed).tolist()
        yield pa.RecordBatch.from_arrays(
            [batch["number"], make_array(found, pa.float32())], schema=COMPARED
        )


def _number(pairs: list[Pair], numbers: Numbers) -> pa.Table:
    """The chosen pairs, under their places in the list."""
    chosen = numbers.tolist()
    return pa.table(
        {
            "number": make_array(chosen, pa.int32()),
            "a": make_array([pairs[n][0] for n in chosen], pa.string()),
            "b": make_array([pairs[n][1] for n in chosen], pa.string()),
        }
    )


def _compare_fresh(
    asked: DataFrame, count: int, allowed: float, facts: DataFrame
) -> tuple[Numbers, Differences]:
    """Numbers and differences of `count` pairs, in any order."""
    pairs = F.broadcast(asked)
    first = facts.select(F.col("sha256").alias("a"), F.col("thumbnail").alias("first"))
    second = facts.select(F.col("sha256").alias("b"), F.col("thumbnail").alias("second"))
    joined = first.join(pairs, on="a", how="inner").join(second, on="b", how="inner")
    tasks = -(-count // PAIRS_PER_TASK)
    most = asked.sparkSession.sparkContext.defaultParallelism * 4
    spread = joined.select("number", "first", "second").repartition(min(tasks, most))
    compare = partial(_compare, allowed=allowed)
    table = spread.mapInArrow(compare, "number int, difference float").toArrow()
    return table["number"].to_numpy(), table["difference"].to_numpy()


def compare_pairs(
    pairs: list[Pair], allowed: float, facts: DataFrame, cache: PairsCache
) -> Comparison:
    """Tell near-duplicates: those whose largest local difference is within `allowed`.

    pairs: hashes, the smaller first. What no run has compared yet is compared, and kept.
    """
    if not pairs:
        return Comparison([], 0)
    differences = np.full(len(pairs), np.nan, np.float32)
    known = np.zeros(len(pairs), np.bool_)
    every = make_frame(cache.spark, _number(pairs, np.arange(len(pairs), dtype=np.int32)))
    numbers, found = cache.find(every, allowed)
    differences[numbers], known[numbers] = found, True
    (fresh,) = np.nonzero(~known)
    if len(fresh):
        asked = make_frame(cache.spark, _number(pairs, fresh.astype(np.int32)))
        numbers, found = _compare_fresh(asked, len(fresh), allowed, facts)
        differences[numbers] = found
        # Not the order asked for, and twice where two runs at once made one picture's facts.
        kept = np.unique(numbers)
        cache.add([pairs[n] for n in kept.tolist()], differences[kept], allowed)
    (near,) = np.nonzero(differences <= allowed)
    return Comparison(sorted(pairs[n] for n in near.tolist()), len(fresh))
