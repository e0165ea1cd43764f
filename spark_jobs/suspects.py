"""Labels that are likely wrong, by confident learning.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
70, 2021, section 3.1: a sample is counted for the class whose own samples are on average no surer
of it than this one is; where that is not its label, the label is suspect. Ranked by the margin
between the two (their "normalized margin").

Only by scores of a model that has not learned from the sample: else it believes any label. The test
side has those of the bundle, train and val those of heads that were fitted without the sample.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.job.evaluation import Suspect
from spark_jobs.arrays import make_array, read_matrix
from spark_jobs.metrics.rows import place_labels

Batches = Iterator[pa.RecordBatch]
NAMES = ("sha256", "name", "side", "label")
FOUND = "sha256 string, name string, side string, label string, suspected string, suspicion double"
SELF = "place int, samples long, total double"
OUT_OF_FOLD = "sha256 string, scores array<float>"


def read_out_of_fold(spark: SparkSession, scores_uri: str, labels_uri: str) -> DataFrame:
    """sha256, name, side, label, scores of the snapshot's train and val side, where scored."""
    scores = spark.read.schema(OUT_OF_FOLD).parquet(scores_uri)
    labels = spark.read.parquet(labels_uri).where(F.col("side").isin("train", "val"))
    return labels.select(*NAMES).join(scores, on="sha256").select(*NAMES, "scores")


def doubt_labels(
    scores: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    thresholds: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """[n, classes] scores → the class that each is counted for (-1: none), and the suspicion.

    thresholds: mean score of each class over its own samples. suspicion: 0 to 1.
    """
    confident = np.where(scores >= thresholds, scores, -1.0)
    counted = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), -1)
    rows = np.arange(len(scores))
    own = np.where(truth >= 0, scores[rows, truth], 0.0)
    return counted, (1 + scores[rows, counted] - own) / 2


def _sum_own(classes: tuple[str, ...]) -> Callable[[Batches], Batches]:
    def add(batches: Batches) -> Batches:
        counts, sums = np.zeros(len(classes), np.int64), np.zeros(len(classes))
        for batch in batches:
            there, matrix = read_matrix(batch["scores"], len(classes))
            truth = place_labels(batch["label"].to_pylist(), classes)[there]
            known = truth >= 0
            counts += np.bincount(truth[known], minlength=len(classes))
            own = matrix[known, truth[known]].astype(np.float64)
            sums += np.bincount(truth[known], own, len(classes))
        columns = [range(len(classes)), counts.tolist(), sums.tolist()]
        kinds = [pa.int32(), pa.int64(), pa.float64()]
        arrays = [make_array(list(v), kind) for v, kind in zip(columns, kinds, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, ["place", "samples", "total"])

    return add


def _pick_out(
    classes: tuple[str, ...], thresholds: npt.NDArray[np.float64]
) -> Callable[[Batches], Batches]:
    def pick(batches: Batches) -> Batches:
        for batch in batches:
            there, matrix = read_matrix(batch["scores"], len(classes))
            truth = place_labels(batch["label"].to_pylist(), classes)[there]
            counted, suspicion = doubt_labels(matrix.astype(np.float64), truth, thresholds)
            doubtful = (counted >= 0) & (truth >= 0) & (counted != truth)
            rows = make_array(np.flatnonzero(there)[doubtful].tolist(), pa.int64())
            arrays = [batch[name].take(rows) for name in NAMES]
            arrays.append(make_array([classes[k] for k in counted[doubtful]], pa.string()))
            arrays.append(make_array(suspicion[doubtful].tolist(), pa.float64()))
            yield pa.RecordBatch.from_arrays(arrays, [*NAMES, "suspected", "suspicion"])

    return pick


def find_suspects(scored: DataFrame, classes: tuple[str, ...], most: int) -> tuple[Suspect, ...]:
    """The likeliest wrong labels first; rows with sha256, name, side, label, scores."""
    chosen = scored.where(F.col("scores").isNotNull()).select(*NAMES, "scores")
    summed = chosen.mapInArrow(_sum_own(classes), SELF).groupBy("place")
    # A class without samples is one that no sample is counted for.
    thresholds = np.full(len(classes), np.inf)
    for row in summed.agg(F.sum("samples").alias("n"), F.sum("total").alias("sum")).collect():
        if row["n"]:
            thresholds[row["place"]] = row["sum"] / row["n"]
    found = chosen.mapInArrow(_pick_out(classes, thresholds), FOUND)
    ranked = found.orderBy(F.desc("suspicion"), "sha256").limit(most)
    return tuple(Suspect(**row.asDict()) for row in ranked.collect())
