"""Compare proposed pairs in the executors, each pair once, ever."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.storagelevel import StorageLevel

from spark_jobs.arrays import make_array
from spark_jobs.near_duplicates.confirm import (
    compare_thumbnails,
    look_coarsely,
    pack_coarse,
    screen_pairs,
    unpack_coarse,
)
from spark_jobs.near_duplicates.look import read_thumbnails
from spark_jobs.pairs import Differences, Numbers, Pair, PairsCache
from spark_jobs.session import make_frame

Batches = Iterator[pa.RecordBatch]
COMPARED = pa.schema([("number", pa.int32()), ("difference", pa.float32())])
SCREENED = pa.schema([("number", pa.int32()), ("left", pa.bool_())])
PAIRS_PER_TASK = 64
# A pass of its own costs about half a second, as much as it saves of so many pairs.
SCREENED_FROM = 2000


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


def _pack(thumbnails: pa.Array) -> pa.Array:
    """Runs in the executors."""
    coarse = look_coarsely(read_thumbnails(thumbnails.to_pylist()))
    return make_array([record.tobytes() for record in pack_coarse(coarse)], pa.binary())


def _screen(batches: Batches, allowed: float) -> Batches:
    """Runs in the executors."""
    for batch in batches:
        first, second = (unpack_coarse(batch[n].to_pylist()) for n in ("first", "second"))
        left = screen_pairs(first, second, allowed).tolist()
        yield pa.RecordBatch.from_arrays(
            [batch["number"], make_array(left, pa.bool_())], schema=SCREENED
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


def _join_looks(asked: DataFrame, count: int, looks: DataFrame) -> DataFrame:
    """looks: `sha256`, `look`; `number`, `first` and `second` of `count` pairs, in any order."""
    pairs = F.broadcast(asked)
    first = looks.select(F.col("sha256").alias("a"), F.col("look").alias("first"))
    second = looks.select(F.col("sha256").alias("b"), F.col("look").alias("second"))
    joined = first.join(pairs, on="a", how="inner").join(second, on="b", how="inner")
    tasks = -(-count // PAIRS_PER_TASK)
    most = asked.sparkSession.sparkContext.defaultParallelism * 4
    return joined.select("number", "first", "second").repartition(min(tasks, most))


def _compare_asked(
    asked: DataFrame, count: int, allowed: float, facts: DataFrame
) -> tuple[Numbers, Differences]:
    looks = facts.select("sha256", F.col("thumbnail").alias("look"))
    compare = partial(_compare, allowed=allowed)
    rows = _join_looks(asked, count, looks).mapInArrow(compare, "number int, difference float")
    table = rows.toArrow()
    return table["number"].to_numpy(), table["difference"].to_numpy()


def _screen_asked(
    asked: DataFrame, count: int, allowed: float, facts: DataFrame
) -> tuple[Numbers, Numbers]:
    """Numbers of the pairs that are told apart by a small picture, and of those that are not."""
    ends = asked.select(F.explode(F.array("a", "b")).alias("sha256")).distinct()
    # Its kind is told by the type hints; PySpark's own overloads do not know that way.
    packing = arrow_udf(_pack, "binary")  # type: ignore[call-overload]
    packed = facts.join(F.broadcast(ends), on="sha256", how="left_semi").select(
        "sha256", packing(F.col("thumbnail")).alias("look")
    )
    looks = packed.persist(StorageLevel.MEMORY_AND_DISK)
    screen = partial(_screen, allowed=allowed)
    rows = _join_looks(asked, count, looks).mapInArrow(screen, "number int, left boolean")
    try:
        table = rows.toArrow()
    finally:
        looks.unpersist()
    left = np.array(table["left"].to_pylist(), np.bool_)
    numbers: Numbers = table["number"].to_numpy()
    return numbers[~left], numbers[left]


def _compare_fresh(
    spark: SparkSession, pairs: list[Pair], fresh: Numbers, allowed: float, facts: DataFrame
) -> tuple[Numbers, Differences]:
    """Numbers and differences of those pairs, in any order.

    Of many pairs most are far apart. Thumbnails of each would be gigabytes to move, so they are
    screened first, which changes no difference.
    """
    asked = make_frame(spark, _number(pairs, fresh))
    if len(fresh) < SCREENED_FROM:
        return _compare_asked(asked, len(fresh), allowed, facts)
    apart, left = _screen_asked(asked, len(fresh), allowed, facts)
    infinite = np.full(len(apart), np.inf, np.float32)
    if not len(left):
        return apart, infinite
    asked = make_frame(spark, _number(pairs, np.unique(left)))
    numbers, found = _compare_asked(asked, len(left), allowed, facts)
    return np.concatenate([apart, numbers]), np.concatenate([infinite, found])


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
        numbers, found = _compare_fresh(cache.spark, pairs, fresh.astype(np.int32), allowed, facts)
        differences[numbers] = found
        # Not the order asked for, and twice where two runs at once made one picture's facts.
        kept = np.unique(numbers)
        cache.add([pairs[n] for n in kept.tolist()], differences[kept], allowed)
    (near,) = np.nonzero(differences <= allowed)
    return Comparison(sorted(pairs[n] for n in near.tolist()), len(fresh))
