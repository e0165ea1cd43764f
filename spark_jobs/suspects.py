"""Labels that are likely wrong, by confident learning.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
70, 2021, section 3.1: a sample is counted for the class whose own samples are on average no surer
of it than this one is; where that is not its label, the label is suspect. Ranked by the margin
between the two (their "normalized margin").

Where a sample may have several labels, each class is asked about alone, against its absence, whose
score is what the class's leaves of 1. The label is suspect where any of these answers is.

Only by scores of a model that has not learned from the sample: else it believes any label. The test
side has those of the bundle, train and val those of heads that were fitted without the sample.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.bundle.labels import write_labels
from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.suspects import Suspect
from spark_jobs.arrays import make_array, read_matrix
from spark_jobs.label_sets import name_labels
from spark_jobs.metrics.membership import mark_labels
from spark_jobs.metrics.rows import place_labels

Batches = Iterator[pa.RecordBatch]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
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


class Doubts(NamedTuple):
    """Rows of a batch whose label is suspect, what each rather shows, and the suspicion."""

    rows: Integers
    suspected: list[str]
    suspicion: Floats


def _find_own(
    labels: Sequence[str], scores: Floats, classes: tuple[str, ...]
) -> tuple[Integers, Floats]:
    truth = place_labels(labels, classes)
    known = truth >= 0
    return truth[known], scores[known, truth[known]]


def _doubt(
    labels: Sequence[str], scores: Floats, classes: tuple[str, ...], thresholds: Floats
) -> Doubts:
    truth = place_labels(labels, classes)
    counted, suspicion = doubt_labels(scores, truth, thresholds)
    doubtful = (counted >= 0) & (truth >= 0) & (counted != truth)
    suspected = [classes[k] for k in counted[doubtful]]
    return Doubts(np.flatnonzero(doubtful), suspected, suspicion[doubtful])


def _find_own_answers(
    labels: Sequence[str], scores: Floats, classes: tuple[str, ...]
) -> tuple[Integers, Floats]:
    """Of each class two places: its absence, and it."""
    truth = mark_labels(labels, classes, SEVERAL)
    places = 2 * np.arange(len(classes)) + truth
    return places.ravel(), np.where(truth, scores, 1 - scores).ravel()


def _doubt_answers(
    labels: Sequence[str], scores: Floats, classes: tuple[str, ...], thresholds: Floats
) -> Doubts:
    truth = mark_labels(labels, classes, SEVERAL)
    both = np.stack((1 - scores, scores), axis=-1).reshape(-1, 2)
    limits = np.tile(thresholds.reshape(-1, 2), (len(scores), 1))
    counted, suspicion = doubt_labels(both, truth.ravel().astype(np.int64), limits)
    flipped = ((counted >= 0) & (counted != truth.ravel())).reshape(truth.shape)
    rows = np.flatnonzero(flipped.any(axis=1))
    most = np.where(flipped, suspicion.reshape(truth.shape), 0.0).max(axis=1)
    suspected = []
    for row in rows.tolist():
        flips = {classes[k] for k in np.flatnonzero(flipped[row])}
        suspected.append(write_labels(name_labels(labels[row], SEVERAL) ^ flips))
    return Doubts(rows, suspected, most[rows])


class Search(NamedTuple):
    """What differs between tasks. places: of a class, each with a threshold of its own."""

    places: int
    find_own: Callable[[Sequence[str], Floats, tuple[str, ...]], tuple[Integers, Floats]]
    doubt: Callable[[Sequence[str], Floats, tuple[str, ...], Floats], Doubts]


SEARCHES: Final[dict[Task, Search]] = {
    ONE: Search(1, _find_own, _doubt),
    SEVERAL: Search(2, _find_own_answers, _doubt_answers),
}


def _read(batch: pa.RecordBatch, width: int) -> tuple[Integers, list[str], Floats]:
    """Rows that have scores, their labels and scores."""
    there, matrix = read_matrix(batch["scores"], width)
    rows = np.flatnonzero(there)
    labels = batch["label"].to_pylist()
    return rows, [labels[row] for row in rows], matrix.astype(np.float64)


def _sum_own(classes: tuple[str, ...], search: Search) -> Callable[[Batches], Batches]:
    def add(batches: Batches) -> Batches:
        width = search.places * len(classes)
        counts, sums = np.zeros(width, np.int64), np.zeros(width)
        for batch in batches:
            _, labels, scores = _read(batch, len(classes))
            places, own = search.find_own(labels, scores, classes)
            counts += np.bincount(places, minlength=width)
            sums += np.bincount(places, own, width)
        columns = [range(width), counts.tolist(), sums.tolist()]
        kinds = [pa.int32(), pa.int64(), pa.float64()]
        arrays = [make_array(list(v), kind) for v, kind in zip(columns, kinds, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, ["place", "samples", "total"])

    return add


def _pick_out(
    classes: tuple[str, ...], search: Search, thresholds: Floats
) -> Callable[[Batches], Batches]:
    def pick(batches: Batches) -> Batches:
        for batch in batches:
            there, labels, scores = _read(batch, len(classes))
            found = search.doubt(labels, scores, classes, thresholds)
            rows = make_array(there[found.rows].tolist(), pa.int64())
            arrays = [batch[name].take(rows) for name in NAMES]
            arrays.append(make_array(found.suspected, pa.string()))
            arrays.append(make_array(found.suspicion.tolist(), pa.float64()))
            yield pa.RecordBatch.from_arrays(arrays, [*NAMES, "suspected", "suspicion"])

    return pick


def find_suspects(
    scored: DataFrame, classes: tuple[str, ...], most: int, task: Task = ONE
) -> tuple[Suspect, ...]:
    """The likeliest wrong labels first; rows with sha256, name, side, label, scores."""
    search = SEARCHES[task]
    chosen = scored.where(F.col("scores").isNotNull()).select(*NAMES, "scores")
    summed = chosen.mapInArrow(_sum_own(classes, search), SELF).groupBy("place")
    # A class without samples is one that no sample is counted for.
    thresholds = np.full(search.places * len(classes), np.inf)
    for row in summed.agg(F.sum("samples").alias("n"), F.sum("total").alias("sum")).collect():
        if row["n"]:
            thresholds[row["place"]] = row["sum"] / row["n"]
    found = chosen.mapInArrow(_pick_out(classes, search, thresholds), FOUND)
    ranked = found.orderBy(F.desc("suspicion"), "sha256").limit(most)
    return tuple(Suspect(**row.asDict()) for row in ranked.collect())
