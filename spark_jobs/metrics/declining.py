""" "None of these": a threshold on how familiar a picture looks, below which a model declines.

What is familiar is said by serving.bundle.operating_point, which the server asks, too.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.stats import binom

from serving.bundle.operating_point import KIND, find_declined, measure_familiarity
from serving.job.evaluation import Declining
from spark_jobs.arrays import read_matrix, wrap_numbers

Batches = Iterator[pa.RecordBatch]
Measure = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.generic]]
# Share of known samples that is accepted; and how sure that is where few samples tell it.
ACCEPTED, SURE = 0.95, 0.95
MEASURED = "label string, predicted string, found double"


def _make_measurer(width: int, measure: Measure) -> Callable[[Batches], Batches]:
    """Runs in the executors: label, predicted, scores → MEASURED; null without scores."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            there, matrix = read_matrix(batch["scores"], width)
            found = np.zeros(len(there), np.float64)
            if len(matrix):
                found[there] = measure(matrix)
            arrays = [batch["label"], batch["predicted"]]
            arrays.append(wrap_numbers(found, pa.float64(), there))
            yield pa.RecordBatch.from_arrays(arrays, ["label", "predicted", "found"])

    return run


def _measure(scored: DataFrame, width: int, measure: Measure) -> DataFrame:
    chosen = scored.select("label", "predicted", "scores")
    return chosen.mapInArrow(_make_measurer(width, measure), MEASURED)


def choose_threshold(val: DataFrame, classes: tuple[str, ...]) -> float | None:
    """What all but 5 % of the val side reach; None: it has no scores."""
    measured = _measure(val, len(classes), measure_familiarity)
    ((found,),) = measured.agg(F.percentile("found", 1 - ACCEPTED)).collect()
    return None if found is None else float(found)


def choose_surely(known: DataFrame, classes: tuple[str, ...]) -> float | None:
    """What all but 5 % of pictures like these reach, sure to 95 %; None: they are too few to tell.

    Rows: label, scores. The score that so many lie at or below as leave that coverage sure (Wilks,
    "Determination of Sample Sizes for Setting Tolerance Limits", 1941): of few samples the lowest,
    of fewer than 59 none.
    """
    rows = known.withColumn("predicted", F.lit(None).cast("string"))
    found = _measure(rows, len(classes), measure_familiarity).where(F.col("found").isNotNull())
    place = int(binom.ppf(1 - SURE, found.count(), 1 - ACCEPTED))
    lowest = found.select("found").orderBy("found").limit(place).collect()
    return float(lowest[-1]["found"]) if lowest else None


def measure_declining(test: DataFrame, classes: tuple[str, ...], threshold: float) -> Declining:
    """What the threshold does on the test side."""
    measured = _measure(test, len(classes), lambda scores: find_declined(scores, threshold))
    declined = F.col("found") > 0
    wrong = declined & (F.col("predicted") != F.col("label"))
    ((count, dropped, dropped_wrong),) = measured.agg(
        F.count(F.lit(1)), F.count(F.when(declined, 1)), F.count(F.when(wrong, 1))
    ).collect()
    return Declining(
        kind=KIND,
        threshold=threshold,
        declined=dropped / count if count else 0.0,
        declined_wrong=dropped_wrong / count if count else 0.0,
    )
