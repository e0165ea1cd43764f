"""Metrics where a sample may have several labels: each class against its absence.

Definitions are scikit-learn's of multilabel indicators, with zero_division=0. What comes back to
the driver is as small as the classes, however many sets of labels there are.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import SEVERAL
from serving.job.evaluation import Averages, MixUp
from spark_jobs.arrays import make_array, read_matrix, wrap_numbers
from spark_jobs.metrics.classification import (
    Metrics,
    average_classes,
    describe_class,
    find_ratio,
)
from spark_jobs.metrics.membership import Marks, mark_labels, split_column
from spark_jobs.metrics.rows import BINS, LEAST, Floats, Means, describe_bin, find_bins
from spark_jobs.scoring import NO_NUMBERS, UNREADABLE

Batches = Iterator[pa.RecordBatch]
MOST_MIX_UPS = 50
SUMS = ("cells", "own", "total", "log_loss", "brier")
BINNED = "bin int, " + ", ".join(f"{name} double" for name in SUMS)


class Members(NamedTuple):
    """One class: samples that have it and are called it, that have it, that are called it."""

    hits: int
    support: int
    called: int


def compute_metrics(
    members: Mapping[str, Members], classes: tuple[str, ...], samples: int, right: int
) -> Metrics:
    """Over the given classes, and over others that were counted. right: samples wholly right."""
    names = (*classes, *sorted(set(members) - set(classes)))
    counts = [members.get(name, Members(0, 0, 0)) for name in names]
    per_class = tuple(
        describe_class(name, *count) for name, count in zip(names, counts, strict=True)
    )
    hits, support, called = (sum(column) for column in zip(*counts, strict=True))
    present = [
        row for row, count in zip(per_class, counts, strict=True) if count.support or count.called
    ]
    labelled = [row for row in present if row.support]
    return Metrics(
        classes=names,
        samples=samples,
        wrong=samples - right,
        confusion=(),
        accuracy=find_ratio(right, samples),
        balanced_accuracy=average_classes(labelled, lambda _: 1).recall,
        macro=average_classes(present, lambda _: 1),
        micro=Averages(
            precision=find_ratio(hits, called),
            recall=find_ratio(hits, support),
            f1=find_ratio(2 * hits, support + called),
        ),
        weighted=average_classes(present, lambda row: row.support),
        per_class=per_class,
        predicted=tuple(count.called for count in counts),
        hamming_loss=find_ratio(support + called - 2 * hits, samples * len(names)),
    )


def _name_classes(scored: DataFrame, predicted: str) -> DataFrame:
    """right, and the classes as arrays: own, said. What could not be read is called nothing."""
    no_answer = F.array(F.lit(UNREADABLE), F.lit(NO_NUMBERS))
    return scored.select(
        (F.col("label") == F.col(predicted)).alias("right"),
        split_column(F.col("label"), SEVERAL).alias("own"),
        F.array_except(split_column(F.col(predicted), SEVERAL), no_answer).alias("said"),
    )


def count_several(
    scored: DataFrame, classes: tuple[str, ...], predicted: str = "predicted"
) -> Metrics:
    """By label and this column; two actions."""
    named = _name_classes(scored, predicted)
    ((samples, right),) = named.agg(F.count(F.lit(1)), F.count_if("right")).collect()
    own, said = (F.array_contains(column, F.col("name")) for column in ("own", "said"))
    rows = named.withColumn("name", F.explode(F.array_union("own", "said"))).groupBy("name")
    counted = rows.agg(F.count_if(own & said), F.count_if(own), F.count_if(said)).collect()
    members = {name: Members(*counts) for name, *counts in counted}
    return compute_metrics(members, classes, samples, right)


def _explode_or_empty(names: Column) -> Column:
    return F.explode(F.when(F.size(names) > 0, names).otherwise(F.array(F.lit(""))))


def list_mix_ups(scored: DataFrame) -> tuple[MixUp, ...]:
    """The most frequent first; of a sample, each missed label with each that was wrongly said."""
    named = _name_classes(scored, "predicted").where(~F.col("right"))
    missed = named.withColumn("label", _explode_or_empty(F.array_except("own", "said")))
    mixed = missed.withColumn("predicted", _explode_or_empty(F.array_except("said", "own")))
    counted = mixed.groupBy("label", "predicted").agg(F.count(F.lit(1)).alias("samples"))
    first = counted.orderBy(F.desc("samples"), "label", "predicted").limit(MOST_MIX_UPS)
    return tuple(MixUp(**row.asDict()) for row in first.collect())


def bin_cells(scores: Floats, truth: Marks) -> list[Floats]:
    """[n, classes] probabilities and whether each is true → SUMS by bin, [BINS] each."""
    own = np.where(truth, scores, 1 - scores).ravel()
    bins = find_bins(scores.ravel())
    values = (
        np.ones(len(bins)),
        truth.ravel().astype(np.float64),
        scores.ravel(),
        -np.log(np.clip(own, LEAST, 1 - LEAST)),
        (1 - own) ** 2,
    )
    return [np.bincount(bins, one, BINS).astype(np.float64) for one in values]


def make_binner(classes: tuple[str, ...]) -> Callable[[Batches], Batches]:
    """Runs in the executors: label, scores → BINNED, a row a bin."""

    def cut(batches: Batches) -> Batches:
        for batch in batches:
            there, matrix = read_matrix(batch["scores"], len(classes))
            truth = mark_labels(batch["label"].to_pylist(), classes, SEVERAL)[there]
            sums = bin_cells(matrix.astype(np.float64), truth)
            arrays = [make_array(range(BINS), pa.int32())]
            arrays += [wrap_numbers(column, pa.float64()) for column in sums]
            yield pa.RecordBatch.from_arrays(arrays, ["bin", *SUMS])

    return cut


def average_cells(scored: DataFrame, classes: tuple[str, ...]) -> Means:
    """One action over label, scores: means over every sample's every class."""
    binned = scored.select("label", "scores").mapInArrow(make_binner(classes), BINNED)
    summed = binned.groupBy("bin").agg(*(F.sum(name).alias(name) for name in SUMS))
    rows = sorted((row for row in summed.collect() if row["cells"]), key=lambda row: int(row[0]))
    cells = sum(row["cells"] for row in rows)
    return Means(
        scored=round(cells / len(classes)),
        log_loss=find_ratio(sum(row["log_loss"] for row in rows), cells),
        brier=find_ratio(sum(row["brier"] for row in rows), cells),
        top_k={},
        calibration=tuple(
            describe_bin(row["bin"], round(row["cells"]), row["total"], round(row["own"]))
            for row in rows
        ),
    )
