"""Samples that are picked from the scored ones: the worst mistakes, and those for a smoke test."""

from typing import Any

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from serving.bundle import codec
from serving.job.evaluation import BadCase
from spark_jobs.smoke import Prediction

SHOWN_SCORES = 5


def _to_predictions(rows: DataFrame) -> list[Prediction]:
    names = tuple(Prediction.model_fields)
    return [Prediction(**row.asDict()) for row in rows.select(*names).collect()]


def pick_worst(test: DataFrame, classes: tuple[str, ...], most: int) -> list[BadCase]:
    """The surest mistakes first, at most so many."""
    wrong = test.where(F.col("predicted") != F.col("label"))
    ordered = wrong.orderBy(F.desc("score"), "sha256").limit(most)
    rows = ordered.select("sha256", "name", "label", "predicted", "scores").collect()
    return [_make_case(row.asDict(), classes) for row in rows]


def _make_case(row: dict[str, Any], classes: tuple[str, ...]) -> BadCase:
    scores = row.pop("scores")
    best: list[tuple[str, float]] = []
    if scores is not None:
        best = codec.rank_labels(np.asarray(scores, np.float32), classes, top=SHOWN_SCORES)
    return BadCase(**row, scores=tuple(best))


def pick_smoke_candidates(test: DataFrame, count: int) -> list[Prediction]:
    """The `count` smallest samples of each class and each kind of answer."""
    kind = Window.partitionBy("label", F.col("predicted") == F.col("label"), F.col("score") < 0.6)
    place = F.row_number().over(kind.orderBy("size_bytes", "sha256"))
    answered = test.where(F.col("score").isNotNull())
    return _to_predictions(answered.withColumn("place", place).where(F.col("place") <= count))
