from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.tasks.multilabel.thresholds import UNTOLD, choose_threshold, choose_thresholds

# Ties, both ends, and neighbours without a number between them are likely.
SCORES = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, float(np.nextafter(np.float32(0.5), np.float32(1))), 1.0]),
    st.floats(0, 1, width=32),
)
SAMPLES = st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=12)


def split(samples: list[tuple[float, bool]]) -> tuple[npt.NDArray[np.float32], Any]:
    scores, shown = zip(*samples, strict=True)
    return np.array(scores, np.float32), np.array(shown)


def list_candidates(scores: npt.NDArray[np.float32]) -> list[float]:
    edges = [0.0, *sorted(set(map(float, scores))), 1.0]
    return [(one + other) / 2 for one, other in pairwise(edges)]


def says(scores: npt.NDArray[np.float32], threshold: float) -> Any:
    """As a bundle does; candidates need more digits."""
    return scores.astype(np.float64) >= threshold


# To say the first alone has an F1 of 2/3, as it has to say all.
@example([(0.99, True), (0.8, False), (0.7, False), (0.6, True)])
@example([(0.9, True), (0.8, False), (0.7, False), (0.2, True)])
@given(SAMPLES)
@settings(deadline=None)
def test_no_candidate_has_a_better_f1_nor_as_good_a_one_nearer_to_the_middle(
    samples: list[tuple[float, bool]],
) -> None:
    scores, shown = split(samples)
    chosen = choose_threshold(scores, shown)
    assert chosen == np.float32(chosen)
    if not shown.any():
        assert chosen == UNTOLD
        return

    def rate(threshold: float) -> Fraction:
        """F1: right ones twice, of all that is said and all that there is."""
        said = says(scores, threshold)
        return Fraction(2 * int(shown[said].sum()), int(said.sum()) + int(shown.sum()))

    candidates = list_candidates(scores)
    best = max(map(rate, candidates))
    assert rate(chosen) == best
    nearest = min(abs(one - 0.5) for one in candidates if rate(one) == best)
    assert abs(chosen - 0.5) == pytest.approx(nearest, abs=1e-6)


@given(SAMPLES, st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@settings(deadline=None)
def test_as_much_recall_as_the_precision_allows(
    samples: list[tuple[float, bool]], min_precision: float
) -> None:
    scores, shown = split(samples)
    said = says(scores, choose_threshold(scores, shown, min_precision))
    allowed = [
        (int(shown[one].sum()), float(shown[one].mean()))
        for one in (says(scores, candidate) for candidate in list_candidates(scores))
        if one.any() and shown[one].mean() >= min_precision
    ]
    if allowed and shown.any():
        assert (int(shown[said].sum()), float(shown[said].mean())) == max(allowed)
    elif shown.any():
        assert not said.any()


def test_one_threshold_a_class() -> None:
    scores = np.array([[0.9, 0.1, 0.7], [0.2, 0.3, 0.6]], np.float32)
    targets = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    found = choose_thresholds(scores, targets, 0.0)
    assert found == pytest.approx((0.55, 0.2, UNTOLD))
    assert choose_thresholds(scores[:0], targets[:0], 0.9) == (UNTOLD,) * 3


def test_what_is_never_precise_enough_is_never_said() -> None:
    """The final model may be surer than those that the threshold was chosen by."""
    scores = np.array([0.4, 0.3, 0.1], np.float32)
    shown = np.array([False, True, False])
    assert not says(np.array([1.0], np.float32), choose_threshold(scores, shown, 0.9)).any()
