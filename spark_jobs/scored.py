"""Samples that are picked from the scored ones: the worst mistakes, and those for a smoke test."""

from typing import Any

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from serving.bundle import codec
from serving.bundle.manifest import SEVERAL, Manifest, Task
from serving.job.evaluation import BadCase
from spark_jobs.label_sets import name_labels
from spark_jobs.metrics.membership import split_column
from spark_jobs.smoke import Prediction

SHOWN_SCORES = 5


def _to_predictions(rows: DataFrame) -> list[Prediction]:
    names = tuple(Prediction.model_fields)
    return [Prediction(**row.asDict()) for row in rows.select(*names).collect()]


def pick_worst(test: DataFrame, manifest: Manifest, most: int) -> list[BadCase]:
    """The surest mistakes first, at most so many."""
    wrong = test.where(F.col("predicted") != F.col("label"))
    ordered = wrong.orderBy(F.desc("score"), "sha256").limit(most)
    rows = ordered.select("sha256", "name", "label", "predicted", "scores").collect()
    return [_make_case(row.asDict(), manifest) for row in rows]


def _make_case(row: dict[str, Any], manifest: Manifest) -> BadCase:
    scores = row.pop("scores")
    if scores is None:
        return BadCase(**row, scores=())
    ranked = codec.rank_labels(np.asarray(scores, np.float32), manifest.classes)
    shown = {name for name, _ in ranked[:SHOWN_SCORES]}
    if manifest.task == SEVERAL:
        # How near to its threshold each mistake was.
        shown |= name_labels(row["label"], SEVERAL) ^ name_labels(row["predicted"], SEVERAL)
    return BadCase(**row, scores=tuple(one for one in ranked if one[0] in shown))


def pick_smoke_candidates(test: DataFrame, count: int, task: Task) -> list[Prediction]:
    """The `count` smallest samples of each class and each kind of answer.

    A sample with several labels is one of each of its classes: sets of labels may be as many as
    samples.
    """
    answered = test.where(F.col("score").isNotNull())
    rows = answered.withColumn("class", F.explode(split_column(F.col("label"), task)))
    kind = Window.partitionBy("class", F.col("predicted") == F.col("label"), F.col("score") < 0.6)
    place = F.row_number().over(kind.orderBy("size_bytes", "sha256"))
    found = _to_predictions(rows.withColumn("place", place).where(F.col("place") <= count))
    return list({one.sha256: one for one in found}.values())
