"""Scored samples → serving.job.evaluation.Evaluation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, Task
from serving.job.evaluation import ClassScore, Curve, Evaluation
from spark_jobs.metrics.classification import Metrics
from spark_jobs.metrics.families import FAMILIES
from spark_jobs.metrics.ranking import EXACT_UP_TO, Ranked, rank_classes
from spark_jobs.metrics.sureness import (
    find_tellable,
    find_wilson_interval,
    guess_discordant,
    write_warning,
)

# Scores in one batch on its way to Python: 8 MB.
BATCH_SCORES = 1 << 21
BATCH_SETTING = "spark.sql.execution.arrow.maxRecordsPerBatch"


@dataclass(frozen=True)
class Thresholds:
    """Class → the score from which on it is called. unreached: classes that have none, for no score
    calls them precisely enough.

    min_precision: that was asked for; 0: the best F1 was.
    """

    by_class: Mapping[str, float]
    unreached: frozenset[str] = frozenset()
    min_precision: float = 0.0


@contextmanager
def use_wide_batches(spark: SparkSession, classes: int) -> Iterator[None]:
    """Batches of score vectors instead of photos."""
    before = spark.conf.get(BATCH_SETTING)
    spark.conf.set(BATCH_SETTING, str(max(64, min(10_000, BATCH_SCORES // classes))))
    try:
        yield
    finally:
        spark.conf.set(BATCH_SETTING, before or "10000")


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def _share(part: int | None, whole: int | None) -> float | None:
    if part is None or whole is None:
        return None
    return part / whole if whole else 0.0


def _read_curve(found: Ranked | None) -> Curve | None:
    if found is None or not (found.false_positive_rate and found.recall and found.precision):
        return None
    return Curve(
        false_positive_rate=tuple(found.false_positive_rate),
        recall=tuple(found.recall),
        precision=tuple(found.precision),
    )


def join_classes(
    metrics: Metrics, ranked: Mapping[str, Ranked], thresholds: Thresholds
) -> tuple[ClassScore, ...]:
    """One row a class, in the order of metrics.classes."""
    rows = []
    for row, predicted in zip(metrics.per_class, metrics.predicted, strict=True):
        found = ranked.get(row.label)
        rows.append(
            ClassScore(
                **row.model_dump(),
                predicted=predicted,
                roc_auc=found and found.roc_auc,
                average_precision=found and found.average_precision,
                threshold=thresholds.by_class.get(row.label),
                threshold_unreached=row.label in thresholds.unreached,
                threshold_precision=found and _share(found.hits, found.called),
                threshold_recall=found and _share(found.hits, found.positives),
                curve=_read_curve(found),
            )
        )
    return tuple(rows)


def choose_thresholds(
    val: DataFrame,
    classes: tuple[str, ...],
    exact_up_to: int = EXACT_UP_TO,
    *,
    min_precision: float = 0.0,
) -> Thresholds:
    """From which score on calling a class gives the best F1 on these rows, the highest such.

    min_precision above 0: the most of its samples that can be called so precisely. Classes of which
    that is none, or without samples there, have no threshold.
    """
    scored = val.where(F.col("scores").isNotNull())
    with use_wide_batches(val.sparkSession, len(classes)):
        samples = scored.count()
        ranked = rank_classes(
            scored,
            classes,
            samples=samples,
            exact_up_to=exact_up_to,
            curves=False,
            min_precision=min_precision,
        )
    there = {name: one.threshold for name, one in ranked.items() if one.positives}
    return Thresholds(
        by_class={name: found for name, found in there.items() if found is not None},
        unreached=frozenset(name for name, found in there.items() if found is None),
        min_precision=min_precision,
    )


def evaluate_scores(
    scored: DataFrame,
    classes: tuple[str, ...],
    *,
    task: Task = ONE,
    seed: int = 0,
    thresholds: Thresholds | None = None,
    exact_up_to: int = EXACT_UP_TO,
) -> Evaluation:
    """All that the scores say. Rows: sha256, label, predicted, scores in the order of classes.

    scores: float32; null where the sample could not be read: then it counts as wrong, and is left
    out of everything that is about scores. group, where there is such a column: samples of one
    are drawn together for the interval. thresholds: chosen elsewhere.
    """
    thresholds = thresholds or Thresholds({})
    with use_wide_batches(scored.sparkSession, len(classes)):
        measured = FAMILIES[task].measure(scored, classes, seed)
        ranked = rank_classes(
            scored,
            classes,
            samples=measured.means.scored,
            task=task,
            thresholds=thresholds.by_class,
            exact_up_to=exact_up_to,
        )
    metrics, means = measured.metrics, measured.means
    aucs = [one.roc_auc for one in ranked.values() if one.roc_auc is not None]
    precisions = [
        one.average_precision for one in ranked.values() if one.average_precision is not None
    ]
    samples = metrics.samples
    discordant = guess_discordant(metrics.accuracy, samples)
    return Evaluation(
        task=task,
        samples=samples,
        classes=metrics.classes,
        confusion=metrics.confusion,
        accuracy=metrics.accuracy,
        accuracy_interval=find_wilson_interval(samples - metrics.wrong, samples),
        balanced_accuracy=metrics.balanced_accuracy,
        macro=metrics.macro,
        micro=metrics.micro,
        weighted=metrics.weighted,
        macro_f1_interval=measured.macro_f1,
        top_k=means.top_k,
        roc_auc=_mean(aucs),
        average_precision=_mean(precisions),
        log_loss=means.log_loss,
        brier=means.brier,
        calibration_error=means.calibration_error,
        calibration=means.calibration,
        per_class=join_classes(metrics, ranked, thresholds),
        hamming_loss=metrics.hamming_loss,
        mix_ups=measured.mix_ups,
        min_precision=thresholds.min_precision,
        ranking_error=max((one.error for one in ranked.values()), default=0.0),
        tellable=find_tellable(discordant, samples),
        warning=write_warning(discordant, samples),
    )
