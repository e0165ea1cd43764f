"""Metrics agree with scikit-learn, on random and on degenerate answers."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.metrics.classification import compute_metrics, count_pairs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

CLASSES = ("<b>", "a.b$", "plain", "键盘")
PAIRS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1)


def count(pairs: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {pair: pairs.count(pair) for pair in pairs}


@given(PAIRS)
def test_equal_to_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    true, called = zip(*pairs, strict=True)
    found = compute_metrics(count(pairs), CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(
        true, called, labels=CLASSES, zero_division=0
    )
    present = sorted({*true, *called})
    macro = precision_recall_fscore_support(
        true, called, labels=present, average="macro", zero_division=0
    )
    assert found.accuracy == pytest.approx(accuracy_score(true, called))
    assert found.macro_f1 == pytest.approx(macro[2])
    assert found.confusion == tuple(
        map(tuple, confusion_matrix(true, called, labels=CLASSES).tolist())
    )
    rows = found.per_class
    np.testing.assert_allclose([row.precision for row in rows], precision)
    np.testing.assert_allclose([row.recall for row in rows], recall)
    np.testing.assert_allclose([row.f1 for row in rows], f1)
    assert [row.support for row in rows] == support.tolist()


def test_unknown_prediction_gets_its_own_column() -> None:
    found = compute_metrics({("plain", "plain"): 3, ("plain", "?"): 1}, ("plain", "键盘"))
    assert found.classes == ("plain", "键盘", "?")
    assert (found.accuracy, found.wrong, found.samples) == (0.75, 1, 4)


def test_nothing_to_measure() -> None:
    found = compute_metrics({}, CLASSES)
    assert (found.accuracy, found.macro_f1, found.samples) == (0.0, 0.0, 0)


def test_pairs_are_counted() -> None:
    pairs = [("键盘", "键盘"), ("键盘", "<b>"), ("<b>", "<b>"), ("<b>", "<b>")]
    labels, called = zip(*pairs, strict=True)
    assert count_pairs(pa.table({"label": labels, "predicted": called})) == count(pairs)
    assert count_pairs(pa.table({"label": labels, "other": labels}), "other") == {
        ("键盘", "键盘"): 2,
        ("<b>", "<b>"): 2,
    }
