"""What one pass over scored samples counts: confusion, log loss, Brier, top k, calibration.

Executors turn each score vector into a few numbers; Spark sums them, and the driver sees a table
of pairs of labels and bins.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StringType, StructField, StructType

from serving.job.evaluation import CalibrationBin
from spark_jobs.arrays import read_matrix, wrap_numbers

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Batches = Iterator[pa.RecordBatch]
BINS = 15
TOP = (1, 2, 3, 5, 10)
# As scikit-learn's log_loss: a probability of 0 must not make the sum infinite.
LEAST = float(np.finfo(np.float64).eps)
MEASURED = StructType(
    [
        StructField("label", StringType()),
        StructField("predicted", StringType()),
        StructField("log_loss", DoubleType()),
        StructField("brier", DoubleType()),
        StructField("rank", IntegerType()),
        StructField("best", DoubleType()),
        StructField("bin", IntegerType()),
    ]
)


@dataclass(frozen=True)
class Means:
    """What is told from scores alone. scored: samples with a score vector; the others were no
    pictures. log_loss, brier and top_k are means over scored samples.
    """

    scored: int
    log_loss: float
    brier: float
    top_k: dict[int, float]
    calibration: tuple[CalibrationBin, ...]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean |accuracy - score| over bins, weighted by samples."""
        gaps = (one.samples * abs(one.accuracy - one.mean_score) for one in self.calibration)
        binned = sum(one.samples for one in self.calibration)
        return sum(gaps) / binned if binned else 0.0


@dataclass(frozen=True)
class Counted(Means):
    """pairs: (label, predicted) → samples."""

    pairs: dict[tuple[str, str], int]


def place_labels(labels: Sequence[str | None], classes: Sequence[str]) -> Integers:
    """Each label's place among the classes; -1: it is none of them."""
    places = {name: number for number, name in enumerate(classes)}
    return np.fromiter((places.get(one or "", -1) for one in labels), np.int64, len(labels))


def find_bins(scores: Floats) -> Integers:
    """The bin of each score, from 0 on; bins hold their upper edge."""
    bins: Integers = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], scores, side="left")
    return bins


def measure_rows(scores: Floats, truth: Integers) -> dict[str, npt.NDArray[np.generic]]:
    """Columns of MEASURED for [n, classes] probabilities; truth: as of place_labels.

    A label that the model does not know has probability 0. rank of the true label: ties keep the
    order of the classes, as in the server's answers.
    """
    count, width = scores.shape
    known = truth >= 0
    own = np.where(known, scores[np.arange(count), truth], 0.0)
    ahead = (scores > own[:, None]).sum(axis=1)
    tied_before = (scores == own[:, None]) & (np.arange(width) < truth[:, None])
    best = scores.max(axis=1)
    # Σ (p - y)²; for two classes both terms are the same, and scikit-learn counts one.
    squares = (scores**2).sum(axis=1) - 2 * own + 1.0
    return {
        "log_loss": -np.log(np.clip(own, LEAST, 1 - LEAST)),
        "brier": squares / 2 if width == 2 else squares,
        "rank": np.where(known, 1 + ahead + tied_before.sum(axis=1), width + 1),
        "best": best,
        "bin": find_bins(best),
    }


def make_measurer(classes: tuple[str, ...]) -> Callable[[Batches], Batches]:
    """Runs in the executors: label, predicted, scores → MEASURED."""

    def measure(batches: Batches) -> Batches:
        for batch in batches:
            labels = batch["label"].to_pylist()
            there, matrix = read_matrix(batch["scores"], len(classes))
            truth = place_labels(labels, classes)[there]
            found = measure_rows(matrix.astype(np.float64), truth)
            arrays = [batch["label"], batch["predicted"]]
            for field in MEASURED.fields[2:]:
                kind = pa.int32() if isinstance(field.dataType, IntegerType) else pa.float64()
                values = np.zeros(len(labels), np.float64)
                values[there] = found[field.name]
                arrays.append(wrap_numbers(values, kind, there))
            yield pa.RecordBatch.from_arrays(arrays, MEASURED.names)

    return measure


def count_rows(scored: DataFrame, classes: tuple[str, ...]) -> Counted:
    """One action over label, predicted, scores; what comes back is as small as the pairs."""
    chosen = scored.select("label", "predicted", "scores")
    measured = chosen.mapInArrow(make_measurer(classes), MEASURED)
    keys = [[F.col("label"), F.col("predicted")], [F.col("bin")]]
    wanted = [k for k in TOP if k < len(classes)]
    table = (
        measured.groupingSets(keys, "label", "predicted", "bin")
        .agg(
            F.grouping("bin").alias("pair"),
            F.count(F.lit(1)).alias("samples"),
            F.count("best").alias("scored"),
            F.sum("log_loss").alias("log_loss"),
            F.sum("brier").alias("brier"),
            F.sum("best").alias("best"),
            F.count(F.when(F.col("label") == F.col("predicted"), 1)).alias("right"),
            *(F.count(F.when(F.col("rank") <= k, 1)).alias(f"top_{k}") for k in wanted),
        )
        .collect()
    )
    return _sum_up([row.asDict() for row in table], wanted)


def describe_bin(number: int, samples: int, total: float, right: int) -> CalibrationBin:
    """Its row of the evaluation. total: sum of the scores that lie in it."""
    return CalibrationBin(
        low=number / BINS,
        high=(number + 1) / BINS,
        samples=samples,
        mean_score=total / samples,
        accuracy=right / samples,
    )


def _sum_up(table: Sequence[dict[str, Any]], wanted: Sequence[int]) -> Counted:
    pairs = [row for row in table if row["pair"]]
    bins = sorted((r for r in table if not r["pair"] and r["scored"]), key=lambda r: int(r["bin"]))
    scored = sum(row["scored"] for row in bins)

    def mean(name: str) -> float:
        return float(sum(row[name] or 0 for row in bins)) / scored if scored else 0.0

    return Counted(
        pairs={(row["label"], row["predicted"]): row["samples"] for row in pairs},
        scored=scored,
        log_loss=mean("log_loss"),
        brier=mean("brier"),
        top_k={k: mean(f"top_{k}") for k in wanted},
        calibration=tuple(
            describe_bin(row["bin"], row["scored"], row["best"], row["right"]) for row in bins
        ),
    )
