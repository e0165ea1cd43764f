"""A whole evaluation by Spark: every number against scikit-learn's, and against what is known."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from serving.job.evaluation import Evaluation
from spark_jobs.metrics import evaluation
from spark_jobs.metrics.classification import compute_metrics
from spark_jobs.metrics.evaluation import Thresholds, evaluate_scores
from spark_jobs.metrics.ranking import Ranked, rank_classes
from spark_jobs.metrics.sureness import bootstrap_groups, bootstrap_macro_f1
from spark_jobs.session import make_frame
from tests.spark_jobs.metrics.answers import Answers, judge, make_answers


def to_frame(spark: SparkSession, answers: Answers, groups: list[str | None]) -> DataFrame:
    count = len(answers.truth)
    columns = {
        "sha256": pa.array([f"{number:064x}" for number in range(count)]),
        "label": pa.array(answers.labels),
        "predicted": pa.array(answers.predicted),
        "scores": pa.array(answers.scores.tolist(), pa.list_(pa.float32())),
        "group": pa.array(groups, pa.string()),
    }
    return make_frame(spark, pa.table(columns)).repartition(3)


def check_calibration(found: Evaluation, answers: Answers) -> None:
    """By the definition: 15 bins of equal width that hold their upper edge."""
    best = answers.scores.max(axis=1).astype(np.float64)
    right = answers.scores.argmax(axis=1) == answers.truth
    error, bins = 0.0, 0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        mine = (best > low) & (best <= high)
        if mine.any():
            gap = abs(right[mine].mean() - best[mine].mean())
            error += gap * mine.mean()
            bins += 1
    assert found.calibration_error == pytest.approx(error, abs=1e-9)
    assert len(found.calibration) == bins
    assert sum(one.samples for one in found.calibration) == len(best)


@pytest.mark.parametrize(("width", "empty"), [(2, 0), (6, 2)])
def test_whole(spark: SparkSession, width: int, empty: int) -> None:
    answers = make_answers(400, width, seed=width, empty=empty)
    frame = to_frame(spark, answers, [None] * 400)
    found = evaluate_scores(frame, answers.classes, thresholds=Thresholds({"class 0": 0.5}))
    wanted = judge(answers)
    pairs = list(zip(answers.labels, answers.predicted, strict=True))
    counted = compute_metrics({pair: pairs.count(pair) for pair in set(pairs)}, answers.classes)
    assert found.confusion == counted.confusion
    assert found.samples == 400
    for name in ("accuracy", "balanced_accuracy", "macro", "micro", "weighted"):
        assert getattr(found, name) == getattr(counted, name)
    for name in ("log_loss", "brier"):
        assert getattr(found, name) == pytest.approx(wanted[name], abs=1e-9)
    for k, share in wanted["top_k"].items():
        assert found.top_k[k] == pytest.approx(share, abs=1e-9)
    assert len(found.per_class) == width
    for row in found.per_class:
        for metric in ("roc_auc", "average_precision"):
            value = wanted.get(f"{metric} {row.label}")
            assert getattr(row, metric) == (value and pytest.approx(value, abs=1e-9))
        assert row.predicted == answers.predicted.count(row.label)
        assert (row.curve is None) == (row.roc_auc is None)
        if row.curve:
            area = np.trapezoid(row.curve.recall, row.curve.false_positive_rate)
            assert area == pytest.approx(row.roc_auc, abs=0.01)
    aucs = [row.roc_auc for row in found.per_class if row.roc_auc is not None]
    assert len(aucs) == width - empty
    assert found.roc_auc == pytest.approx(np.mean(aucs))
    check_calibration(found, answers)
    assert found.accuracy_interval.low < found.accuracy < found.accuracy_interval.high
    assert found.macro_f1_interval.low < found.macro.f1 < found.macro_f1_interval.high
    first, *others = found.per_class
    called, own = answers.scores[:, 0] >= 0.5, answers.truth == 0
    assert first.threshold_precision == pytest.approx((called & own).sum() / called.sum())
    assert first.threshold_recall == pytest.approx((called & own).sum() / own.sum())
    assert {row.threshold for row in others} == {None}


def test_more_scores_than_are_ranked_exactly(spark: SparkSession) -> None:
    answers = make_answers(400, 3, seed=1)
    frame = to_frame(spark, answers, [None] * 400)
    exact = evaluate_scores(frame, answers.classes)
    binned = evaluate_scores(frame, answers.classes, exact_up_to=399)
    assert exact.ranking_error == 0 < binned.ranking_error < 0.02
    assert exact.roc_auc
    assert binned.roc_auc == pytest.approx(exact.roc_auc, abs=binned.ranking_error)
    assert binned.average_precision == pytest.approx(
        exact.average_precision, abs=binned.ranking_error
    )


def test_groups_make_numbers_less_sure(spark: SparkSession) -> None:
    """Forty groups whose members are right or wrong together; alone, as many as the samples."""
    truth = np.arange(400) % 2
    wrong = (np.arange(400) // 10) % 4 == 0
    scores = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - truth, truth)]
    answers = Answers(("a", "b"), scores, truth)
    groups: list[str | None] = [str(number // 10) for number in range(400)]
    frame = to_frame(spark, answers, groups)
    together = bootstrap_groups(frame, answers.classes, seed=1)
    alone = bootstrap_groups(to_frame(spark, answers, [None] * 400), answers.classes, seed=1)
    width = together.high - together.low
    assert 2 < width / (alone.high - alone.low) < 5
    pairs = list(zip(answers.labels, answers.predicted, strict=True))
    drawn = bootstrap_macro_f1({pair: pairs.count(pair) for pair in set(pairs)}, seed=1)
    # Both draw single samples, one on the driver, the other in the executors.
    assert alone.low == pytest.approx(drawn.low, abs=0.02)
    assert alone.high == pytest.approx(drawn.high, abs=0.02)
    assert together == bootstrap_groups(frame.repartition(2), answers.classes, seed=1)
    assert evaluate_scores(frame, answers.classes, seed=1).macro_f1_interval == together


def test_thresholds_are_chosen_without_curves(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = make_answers(200, 3, seed=2)
    frame = to_frame(spark, answers, [None] * 200)
    asked: dict[str, Ranked] = {}

    def watch(*given: Any, **options: Any) -> dict[str, Ranked]:
        asked.update(rank_classes(*given, **options))
        return asked

    monkeypatch.setattr(evaluation, "rank_classes", watch)
    chosen = evaluation.choose_thresholds(frame, answers.classes)
    assert {one.recall for one in asked.values()} == {None}
    whole = rank_classes(frame, answers.classes, samples=200)
    assert all(one.recall for one in whole.values())
    assert chosen.by_class == {name: one.threshold for name, one in whole.items()}
    assert not chosen.unreached


def test_a_precision_that_no_score_has(spark: SparkSession) -> None:
    """The best score for the first class lies on a sample of the second, too; the third has none.

    It is 1, as of a network that is sure: no threshold keeps that one out.
    """
    scores = np.array([[1, 0.1, 0], [1, 0.2, 0], [0.3, 0.7, 0]], np.float32)
    answers = Answers(("a", "b", "c"), scores, np.array([1, 0, 1]))
    frame = to_frame(spark, answers, [None] * 3)
    chosen = evaluation.choose_thresholds(frame, answers.classes, min_precision=0.9)
    assert chosen.by_class == {"b": pytest.approx(0.7)}
    assert chosen.unreached == {"a"}
    found = evaluate_scores(frame, answers.classes, thresholds=chosen)
    assert found.min_precision == 0.9
    rows = [(row.threshold, row.threshold_unreached) for row in found.per_class]
    assert rows == [(None, True), (pytest.approx(0.7), False), (None, False)]
    assert [row.threshold_recall for row in found.per_class] == [None, 0.5, None]
    half = evaluation.choose_thresholds(frame, answers.classes, min_precision=0.5)
    assert half.by_class == {"a": 1.0, "b": pytest.approx(0.1)}
