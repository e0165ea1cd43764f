"""Metrics agree with scikit-learn, on random and on degenerate answers."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.metrics.classification import compute_metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        confusion_matrix,
        precision_recall_fscore_support,
    )

CLASSES = ("<b>", "a.b$", "plain", "键盘")
PAIRS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1)


def count(pairs: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {pair: pairs.count(pair) for pair in pairs}


@settings(deadline=None)
@given(PAIRS)
def test_equal_to_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    true, called = zip(*pairs, strict=True)
    found = compute_metrics(count(pairs), CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(
        true, called, labels=CLASSES, zero_division=0
    )
    assert found.accuracy == pytest.approx(accuracy_score(true, called), abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a prediction that is no label
        balanced = balanced_accuracy_score(true, called)
    assert found.balanced_accuracy == pytest.approx(balanced, abs=1e-9)
    assert found.confusion == tuple(
        map(tuple, confusion_matrix(true, called, labels=CLASSES).tolist())
    )
    rows = found.per_class
    np.testing.assert_allclose([row.precision for row in rows], precision, atol=1e-9)
    np.testing.assert_allclose([row.recall for row in rows], recall, atol=1e-9)
    np.testing.assert_allclose([row.f1 for row in rows], f1, atol=1e-9)
    assert [row.support for row in rows] == support.tolist()
    assert list(found.predicted) == [called.count(name) for name in CLASSES]


@settings(deadline=None)
@given(PAIRS, st.sampled_from(["macro", "micro", "weighted"]))
def test_averages_equal_scikit_learns(pairs: list[tuple[str, str]], kind: str) -> None:
    true, called = zip(*pairs, strict=True)
    found = getattr(compute_metrics(count(pairs), CLASSES), kind)
    present = sorted({*true, *called})
    wanted = precision_recall_fscore_support(
        true, called, labels=present, average=kind, zero_division=0
    )
    assert [found.precision, found.recall, found.f1] == pytest.approx(wanted[:3], abs=1e-9)


def test_unknown_prediction_gets_its_own_column() -> None:
    found = compute_metrics({("plain", "plain"): 3, ("plain", "?"): 1}, ("plain", "键盘"))
    assert found.classes == ("plain", "键盘", "?")
    assert (found.accuracy, found.wrong, found.samples) == (0.75, 1, 4)


def test_nothing_to_measure() -> None:
    found = compute_metrics({}, CLASSES)
    assert (found.accuracy, found.macro_f1, found.samples) == (0.0, 0.0, 0)
