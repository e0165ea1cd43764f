"""The scores of one class, as steps: at each, how many samples of the class and of the others.

Everything that ranks follows from them. Pure.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Bins = npt.NDArray[np.int32]
# Bits of a float32 that a bin leaves out: a bin's edges differ by less than 1 % of their distance
# from 0 or 1, whichever is nearer.
DROPPED_BITS = 16


@dataclass(frozen=True)
class Steps:
    """The distinct scores of a class's samples, ascending, and what lies there.

    own: its samples at that score. less, tied: of all samples, those below and those at it.
    """

    values: Scores
    own: Counts
    less: Counts
    tied: Counts
    total: int


def find_steps(scores: Scores, positives: Scores) -> Steps:
    """scores: of all samples, those of the class among them."""
    ordered = np.sort(scores)
    values, own = np.unique(positives, return_counts=True)
    less = np.searchsorted(ordered, values, side="left")
    tied = np.searchsorted(ordered, values, side="right") - less
    return Steps(values, own.astype(np.int64), less, tied, len(scores))


def _choose_step(hits: Counts, called: Counts, positives: int, min_precision: float) -> int | None:
    """Which of ascending thresholds: the best F1, or, for a precision, the best recall with it.

    Of equal ones the highest, which calls the fewest others; None: none is so precise.
    """
    worth = 2 * hits / (called + positives)
    if min_precision:
        worth = np.where(hits / called >= min_precision, hits, -1)
    best = len(worth) - 1 - int(np.argmax(worth[::-1]))
    return best if worth[best] >= 0 else None


def rank_class(
    steps: Steps, given: float | None, called_at: int, min_precision: float = 0.0
) -> dict[str, Any]:
    """Columns of RANKED but for the class; scikit-learn's definitions.

    given: a threshold; called_at: samples that reach it. min_precision: that the threshold which
    is looked for must have; 0: the best F1.
    """
    own, total = steps.own, steps.total
    positives = int(own.sum())
    negatives = total - positives
    own_less = np.cumsum(own) - own
    others_less, others_tied = steps.less - own_less, steps.tied - own
    hits, called = positives - own_less, total - steps.less
    found: dict[str, Any] = {"positives": positives, "negatives": negatives, "error": 0.0}
    found |= dict.fromkeys(("roc_auc", "average_precision", "threshold", "called", "hits"))
    if positives:
        best = _choose_step(hits, called, positives, min_precision)
        found["threshold"] = None if best is None else float(steps.values[best])
    if positives and negatives:
        won = (own * (2 * others_less + others_tied)).sum() / 2
        found["roc_auc"] = float(won / positives / negatives)
        found["average_precision"] = float((own * hits / called).sum() / positives)
    if given is not None:
        found["called"] = called_at
        found["hits"] = int(own[steps.values >= np.float32(given)].sum())
    return found


def trace_curve(steps: Steps, most: int) -> dict[str, list[float]]:
    """Columns of a Curve, at most so many points; empty where there is nothing to tell apart.

    Every sample of the class is one step up in ROC space, everything between two of them one to
    the right: the corners are those of scikit-learn's roc_curve and precision_recall_curve.
    """
    own, positives = steps.own[::-1], int(steps.own.sum())
    negatives = steps.total - positives
    if not (positives and negatives):
        return {}
    hits = np.cumsum(own)
    called = (steps.total - steps.less)[::-1]
    # Two corners a score: before the samples that have it are called, and after.
    corners = np.zeros((2, 2 * len(own) + 2))
    corners[:, 1:-1:2] = hits - own, called - steps.tied[::-1]
    corners[:, 2:-1:2] = hits, called
    corners[:, -1] = positives, steps.total
    found, drawn = corners
    recall, wrong = found / positives, (drawn - found) / negatives
    precision = np.divide(found, drawn, out=np.ones_like(found), where=drawn > 0)
    if len(found) > most:
        way = sum(
            np.abs(np.diff(values, prepend=values[0])) for values in (recall, wrong, precision)
        )
        length = np.cumsum(way)
        kept = np.searchsorted(length, np.linspace(0, length[-1], most))
        kept = np.unique(np.concatenate(([0], kept, [len(found) - 1])))
        recall, wrong, precision = recall[kept], wrong[kept], precision[kept]
    columns = {"false_positive_rate": wrong, "recall": recall, "precision": precision}
    return {name: np.round(values, 6).tolist() for name, values in columns.items()}


def bound_error(steps: Steps) -> float:
    """The most that ROC-AUC and average precision change however ties are broken."""
    own, positives = steps.own, int(steps.own.sum())
    negatives = steps.total - positives
    if not (positives and negatives):
        return 0.0
    others_tied = steps.tied - own
    unranked = float((own * others_tied).sum() / positives / negatives / 2)
    # Within a bin precision is highest with its own samples first, lowest with the others first.
    hits_above = positives - np.cumsum(own)
    called_above = steps.total - steps.less - steps.tied
    highest = np.maximum(
        (hits_above + 1) / (called_above + 1), (hits_above + own) / (called_above + own)
    )
    lowest = (hits_above + 1) / (called_above + others_tied + 1)
    return max(unranked, float((own * (highest - lowest)).sum() / positives))


def bin_scores(scores: Scores) -> Bins:
    """Bins that are narrow near 0 and near 1, where a classifier's scores lie; ascending."""
    lower = scores.clip(0, 0.5).view(np.int32) >> DROPPED_BITS
    # 1 - s is exact above a half, so equal scores share a bin and unequal ones keep their order.
    upper = (1 - scores.clip(0.5, 1)).astype(np.float32).view(np.int32) >> DROPPED_BITS
    half = int(np.float32(0.5).view(np.int32)) >> DROPPED_BITS
    return np.where(scores < 0.5, lower, 2 * half + 1 - upper).astype(np.int32)


def start_of_bin(bins: Bins) -> Scores:
    """The lowest score that bin_scores puts there."""
    half = int(np.float32(0.5).view(np.int32)) >> DROPPED_BITS
    lower = (bins << DROPPED_BITS).view(np.float32)
    above = (((2 * half + 2 - bins) << DROPPED_BITS) - 1).view(np.float32)
    # The greatest distance from 1 in the bin; scores above a half are multiples of 2 ** -24.
    steps = np.floor(above.clip(0, 0.5).astype(np.float64) * 2**24)
    return np.where(bins <= half, lower, 1 - steps / 2**24).astype(np.float32)
