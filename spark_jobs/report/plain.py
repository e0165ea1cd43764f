"""An Evaluation from counted labels alone, where no score vectors were kept. Pure."""

import math
from collections.abc import Sequence

from serving.job.evaluation import Averages, CalibrationBin, ClassScore, Evaluation, Interval
from spark_jobs.metrics.classification import Metrics
from spark_jobs.report.intervals import wilson_interval

BINS = 10
# Two equally large samples of one share p: a difference of z·√(2·p·(1-p)/n) shows four times in
# five at the level of 5 %; z = 1.96 + 0.84.
TELLABLE_Z = 2.8


def describe_metrics(
    metrics: Metrics, scores: Sequence[float], right: Sequence[bool]
) -> Evaluation:
    """scores: best probability of each sample; right: whether its label was that one."""
    total = metrics.samples
    low, high = wilson_interval(metrics.accuracy * total, total)
    called = [sum(row[i] for row in metrics.confusion) for i in range(len(metrics.classes))]
    rows = [
        ClassScore(**row.model_dump(), predicted=count)
        for row, count in zip(metrics.per_class, called, strict=True)
    ]
    tested = [row for row in rows if row.support]
    seen = [row for row in rows if row.support or row.predicted]
    bins = _count_bins(scores, right)
    spread = metrics.accuracy * (1 - metrics.accuracy)
    gap = sum(one.samples * abs(one.accuracy - one.mean_score) for one in bins)
    return Evaluation(
        samples=total,
        classes=metrics.classes,
        confusion=metrics.confusion,
        accuracy=metrics.accuracy,
        accuracy_interval=Interval(low=low, high=high),
        balanced_accuracy=sum(row.recall for row in tested) / max(1, len(tested)),
        macro=_average(seen, [1.0] * len(seen)),
        micro=Averages(precision=metrics.accuracy, recall=metrics.accuracy, f1=metrics.accuracy),
        weighted=_average(rows, [row.support for row in rows]),
        macro_f1_interval=Interval(low=math.nan, high=math.nan),
        top_k={1: metrics.accuracy},
        roc_auc=None,
        average_precision=None,
        log_loss=math.nan,
        brier=math.nan,
        calibration_error=gap / max(1, len(scores)),
        calibration=bins,
        per_class=tuple(rows),
        tellable=TELLABLE_Z * math.sqrt(2 * spread / total) if total else 1.0,
    )


def _average(rows: Sequence[ClassScore], weights: Sequence[float]) -> Averages:
    whole = sum(weights) or 1.0

    def mean(values: Sequence[float]) -> float:
        return sum(v * w for v, w in zip(values, weights, strict=True)) / whole

    return Averages(
        precision=mean([row.precision for row in rows]),
        recall=mean([row.recall for row in rows]),
        f1=mean([row.f1 for row in rows]),
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
