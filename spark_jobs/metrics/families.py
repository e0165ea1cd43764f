"""What differs between datasets of one label a sample and of several, in one shape."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.evaluation import Interval, MixUp
from spark_jobs.metrics.classification import Metrics, compute_metrics
from spark_jobs.metrics.multilabel import average_cells, count_several, list_mix_ups
from spark_jobs.metrics.rows import Means, count_rows
from spark_jobs.metrics.sureness import bootstrap_groups, bootstrap_macro_f1


@dataclass(frozen=True)
class Measured:
    """All but what ranks. macro_f1: its interval."""

    metrics: Metrics
    means: Means
    macro_f1: Interval
    mix_ups: tuple[MixUp, ...] = ()


@dataclass(frozen=True)
class Family:
    """measure: scored rows, classes, seed; count: scored rows, classes, column of predictions."""

    measure: Callable[[DataFrame, tuple[str, ...], int], Measured]
    count: Callable[[DataFrame, tuple[str, ...], str], Metrics]


def _count_one(scored: DataFrame, classes: tuple[str, ...], predicted: str) -> Metrics:
    rows = scored.groupBy("label", predicted).count().collect()
    return compute_metrics({(label, called): count for label, called, count in rows}, classes)


def _measure_one(scored: DataFrame, classes: tuple[str, ...], seed: int) -> Measured:
    counted = count_rows(scored, classes)
    metrics = compute_metrics(counted.pairs, classes)
    if "group" in scored.columns and not scored.where(F.col("group").isNotNull()).isEmpty():
        interval = bootstrap_groups(scored, metrics.classes, seed)
    else:
        interval = bootstrap_macro_f1(counted.pairs, seed)
    return Measured(metrics, counted, interval)


def _measure_several(scored: DataFrame, classes: tuple[str, ...], seed: int) -> Measured:
    metrics = count_several(scored, classes)
    # Pairs of sets may be as many as samples: those are drawn in the executors.
    drawn = scored
    if "group" not in scored.columns:
        drawn = scored.withColumn("group", F.lit(None).cast("string"))
    interval = bootstrap_groups(drawn, metrics.classes, seed, SEVERAL)
    return Measured(metrics, average_cells(scored, classes), interval, list_mix_ups(scored))


FAMILIES: Final[dict[Task, Family]] = {
    ONE: Family(_measure_one, _count_one),
    SEVERAL: Family(_measure_several, count_several),
}
