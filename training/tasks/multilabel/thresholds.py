"""From which score on a sample is said to show a class."""

import numpy as np
import numpy.typing as npt

from training.tasks.protocol import Floats

# Where nothing tells more.
UNTOLD = 0.5
# No score reaches it: the least number above 1.
UNREACHED = float(np.nextafter(np.float32(1), np.float32(2)))


def choose_thresholds(scores: Floats, targets: Floats, min_precision: float) -> tuple[float, ...]:
    """One for each class; see TaskModel. targets: [n, classes] of 0 and 1."""
    return tuple(
        choose_threshold(scores[:, place], targets[:, place] > 0, min_precision)
        for place in range(scores.shape[1])
    )


def choose_threshold(
    scores: Floats, shown: npt.NDArray[np.bool_], min_precision: float = 0.0
) -> float:
    """One class's, from scores between 0 and 1 and whether a sample shows it, [n] each.

    Candidates are the middles between neighbouring scores, and between the outermost and 0 or 1.
    Without min_precision that of the best F1, of equally good ones the nearest to 0.5. With it, of
    those with at least that precision the one of the most recall, and the most precise of these;
    where none is so precise, UNREACHED. 0.5 where no sample shows the class.
    """
    if not shown.any():
        return UNTOLD
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order].astype(np.float32)
    # How many of the highest scores each candidate says.
    said = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1, [len(ordered)]])
    lowest_said = np.concatenate([[np.float32(1)], ordered])[said]
    highest_left = np.concatenate([ordered, [np.float32(0)]])[said]
    middles = ((lowest_said.astype(np.float64) + highest_left) / 2).astype(np.float32)
    # Between neighbours without a number between them, the middle may be rounded to the lower.
    middles[:-1] = np.maximum(middles[:-1], np.nextafter(highest_left[:-1], np.float32(2)))
    hits = np.concatenate([[0], np.cumsum(shown[order])])[said]
    if min_precision:
        precise = np.flatnonzero((said > 0) & (hits / np.maximum(said, 1) >= min_precision))
        # Of equal recall, the first says the fewest.
        return float(middles[precise[hits[precise].argmax()]]) if len(precise) else UNREACHED
    f1 = 2 * hits / (said + shown.sum())
    best = middles[f1 == f1.max()]
    return float(best[np.abs(best - np.float32(UNTOLD)).argmin()])
