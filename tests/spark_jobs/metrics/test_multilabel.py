"""Where a sample may have several labels, too, every number is scikit-learn's."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from serving.bundle.labels import write_labels
from serving.bundle.manifest import SEVERAL
from serving.job.evaluation import Evaluation
from spark_jobs.metrics.evaluation import Thresholds, evaluate_scores
from spark_jobs.metrics.multilabel import Members, bin_cells, compute_metrics
from spark_jobs.scoring import UNREADABLE
from spark_jobs.session import make_frame

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.metrics import (
        accuracy_score,
        average_precision_score,
        brier_score_loss,
        hamming_loss,
        log_loss,
        precision_recall_fscore_support,
        roc_auc_score,
    )

CLASSES = ("<b>", "a.b$", "plain", "键盘")
Marks = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
AVERAGES = ("macro", "micro", "weighted")


def judge(truth: Marks, said: Marks, average: str | None) -> list[Any]:
    present = truth.any(axis=0) | said.any(axis=0)
    if average and not present.any():
        return [0.0, 0.0, 0.0]
    places = np.flatnonzero(present) if average == "macro" else None
    found = precision_recall_fscore_support(
        truth, said, labels=places, average=average, zero_division=0
    )
    return list(found[:3])


@st.composite
def draw_marks(draw: st.DrawFn) -> tuple[Marks, Marks]:
    """Labels and predictions of a few samples; of some classes there are none."""
    row = st.lists(st.booleans(), min_size=len(CLASSES), max_size=len(CLASSES))
    rows = draw(st.lists(st.tuples(row, row), min_size=1, max_size=20))
    truth, said = (np.array(column, np.bool_) for column in zip(*rows, strict=True))
    kept = np.array(draw(row), np.bool_)
    return truth & kept, said & np.array(draw(row), np.bool_)


@settings(deadline=None)
@given(draw_marks())
def test_counts_equal_scikit_learns(marks: tuple[Marks, Marks]) -> None:
    truth, said = marks
    columns = ((truth & said).sum(0), truth.sum(0), said.sum(0))
    counts = [Members(*map(int, row)) for row in zip(*columns, strict=True)]
    members = {n: c for n, c in zip(CLASSES, counts, strict=True) if c.support or c.called}
    right = int((truth == said).all(axis=1).sum())
    found = compute_metrics(members, CLASSES, len(truth), right)
    precision, recall, f1 = judge(truth, said, None)
    rows = found.per_class
    np.testing.assert_allclose([row.precision for row in rows], precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose([row.recall for row in rows], recall, rtol=0, atol=1e-9)
    np.testing.assert_allclose([row.f1 for row in rows], f1, rtol=0, atol=1e-9)
    for average in AVERAGES:
        mine = getattr(found, average)
        wanted = judge(truth, said, average)
        np.testing.assert_allclose(
            [mine.precision, mine.recall, mine.f1], wanted, rtol=0, atol=1e-9
        )
    assert found.accuracy == pytest.approx(accuracy_score(truth, said), abs=1e-9)
    assert found.hamming_loss == pytest.approx(hamming_loss(truth, said), abs=1e-9)
    there = recall[truth.any(axis=0)]
    assert found.balanced_accuracy == pytest.approx(there.mean() if len(there) else 0, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 32), st.booleans()), min_size=1))
def test_cells_equal_scikit_learns(cells: list[tuple[int, bool]]) -> None:
    """Sure and wrong ones, edges of bins and ties among them."""
    scores = np.array([[value / 32] for value, _ in cells])
    truth = np.array([[true] for _, true in cells])
    count, own, total, logs, squares = bin_cells(scores, truth)
    assert (count.sum(), own.sum(), total.sum()) == (len(cells), truth.sum(), scores.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = log_loss(truth.ravel(), scores.ravel(), labels=[False, True])
        brier = brier_score_loss(truth.ravel(), scores.ravel(), labels=[False, True])
    assert logs.sum() / len(cells) == pytest.approx(wanted, abs=1e-9)
    assert squares.sum() / len(cells) == pytest.approx(brier, abs=1e-9)
    for number in np.flatnonzero(count):
        mine = (scores > number / 15) & (scores <= (number + 1) / 15)
        mine |= (scores == 0) & (number == 0)
        assert (count[number], own[number]) == (mine.sum(), truth[mine].sum())


def make_scores(count: int, seed: int) -> tuple[Marks, Scores]:
    """Ties are many; the third class has no sample, the fourth is never called."""
    chance = np.random.default_rng(seed)
    truth = chance.random((count, 4)) < (0.5, 0.3, 0, 0.2)
    truth[~truth.any(axis=1), 0] = True
    scores = 0.5 * truth + chance.integers(0, 17, (count, 4)) / 32
    scores[:, 3] /= 4
    return truth, scores.astype(np.float32)


def to_frame(spark: SparkSession, truth: Marks, said: Marks, scores: Scores) -> DataFrame:
    labels, predicted = (
        [write_labels(np.array(CLASSES)[row]) for row in marks] for marks in (truth, said)
    )
    columns = {
        "sha256": pa.array([f"{number:064x}" for number in range(len(truth))]),
        "label": pa.array(labels),
        "predicted": pa.array(predicted),
        "scores": pa.array(scores.tolist(), pa.list_(pa.float32())),
    }
    return make_frame(spark, pa.table(columns)).repartition(3)


def check_classes(found: Evaluation, truth: Marks, said: Marks, scores: Scores) -> None:
    for k, row in enumerate(found.per_class):
        assert (row.support, row.predicted) == (truth[:, k].sum(), said[:, k].sum())
        if row.support:
            area = roc_auc_score(truth[:, k], scores[:, k])
            precision = average_precision_score(truth[:, k], scores[:, k])
            assert row.roc_auc == pytest.approx(area, abs=1e-9)
            assert row.average_precision == pytest.approx(precision, abs=1e-9)
            assert row.threshold_recall == pytest.approx(row.recall)
            assert row.threshold_precision == pytest.approx(row.precision)
        else:
            assert (row.roc_auc, row.average_precision, row.curve) == (None, None, None)
        assert row.threshold == 0.5


def test_whole(spark: SparkSession) -> None:
    truth, scores = make_scores(300, seed=1)
    said = scores >= 0.5
    assert (~said.any(axis=1)).any()
    given = Thresholds(dict.fromkeys(CLASSES, 0.5))
    frame = to_frame(spark, truth, said, scores)
    found = evaluate_scores(frame, CLASSES, task=SEVERAL, thresholds=given)
    assert (found.task, found.samples, found.confusion, found.top_k) == (SEVERAL, 300, (), {})
    assert found.wrong == (truth != said).any(axis=1).sum()
    assert found.accuracy == pytest.approx(accuracy_score(truth, said), abs=1e-9)
    assert found.accuracy_interval.low < found.accuracy < found.accuracy_interval.high
    for average in AVERAGES:
        mine = getattr(found, average)
        wanted = judge(truth, said, average)
        np.testing.assert_allclose(
            [mine.precision, mine.recall, mine.f1], wanted, rtol=0, atol=1e-9
        )
    assert found.hamming_loss == pytest.approx(hamming_loss(truth, said), abs=1e-9)
    check_classes(found, truth, said, scores)
    areas = [row.roc_auc for row in found.per_class if row.roc_auc is not None]
    assert len(areas) == 3
    assert found.roc_auc == pytest.approx(np.mean(areas))
    flat, cells = truth.ravel(), scores.ravel().astype(np.float64)
    assert found.log_loss == pytest.approx(log_loss(flat, cells), abs=1e-9)
    assert found.brier == pytest.approx(brier_score_loss(flat, cells), abs=1e-9)
    error = 0.0
    for one in found.calibration:
        mine = (cells > one.low) & (cells <= one.high)
        mine |= (cells == 0) & (one.low == 0)
        assert (one.samples, one.accuracy) == (mine.sum(), flat[mine].mean())
        error += abs(flat[mine].mean() - cells[mine].mean()) * mine.mean()
    assert found.calibration_error == pytest.approx(error, abs=1e-9)
    assert found.macro_f1_interval.low < found.macro.f1 < found.macro_f1_interval.high
    again = evaluate_scores(frame.repartition(2), CLASSES, task=SEVERAL, thresholds=given)
    assert again.macro_f1_interval == found.macro_f1_interval


def evaluate(spark: SparkSession, rows: list[tuple[str, str, list[float] | None]]) -> Evaluation:
    label, predicted, scores = map(list, zip(*rows, strict=True))
    columns = {
        "sha256": pa.array([f"{number:064x}" for number in range(len(rows))]),
        "label": pa.array(label),
        "predicted": pa.array(predicted),
        "scores": pa.array(scores, pa.list_(pa.float32())),
        "group": pa.array([None] * len(rows), pa.string()),
    }
    return evaluate_scores(make_frame(spark, pa.table(columns)), ("a", "b", "c"), task=SEVERAL)


def test_what_is_missed_and_what_is_wrongly_said(spark: SparkSession) -> None:
    """A picture that cannot be read is called nothing; a label that no model knows is missed."""
    found = evaluate(
        spark,
        [
            ("a", "b", [0.25, 0.75, 0.0]),
            ("a|c", "b|c", [0.25, 0.75, 1.0]),
            ("a|b", "c", [0.0, 0.0, 1.0]),
            ("a", "", [0.25, 0.25, 0.25]),
            ("b", "b|c", [0.25, 0.75, 0.75]),
            ("a|b|c", "a|b|c", [1.0, 1.0, 1.0]),
            ("b|new", "b", [0.0, 1.0, 0.0]),
            ("a", UNREADABLE, None),
        ],
    )
    mixed = [(one.label, one.predicted, one.samples) for one in found.mix_ups]
    assert mixed == [
        ("a", "", 2),
        ("a", "b", 2),
        ("", "c", 1),
        ("a", "c", 1),
        ("b", "c", 1),
        ("new", "", 1),
    ]
    assert (found.samples, found.wrong, found.classes) == (8, 7, ("a", "b", "c", "new"))
    assert [row.support for row in found.per_class] == [6, 4, 2, 1]
    assert [row.predicted for row in found.per_class] == [1, 5, 4, 0]
    assert sum(one.samples for one in found.calibration) == 7 * 3


def test_no_model_that_said_anything(spark: SparkSession) -> None:
    found = evaluate(spark, [("a", "", [0.0, 0.0, 0.0]), ("b", "", [0.5, 0.5, 0.5])])
    assert (found.accuracy, found.micro.precision, found.micro.f1) == (0, 0, 0)
    assert found.macro.f1 == 0
    assert found.hamming_loss == pytest.approx(2 / 6)
    unreadable = evaluate(spark, [("a", UNREADABLE, None)])
    assert (unreadable.accuracy, unreadable.log_loss, unreadable.calibration) == (0, 0, ())
