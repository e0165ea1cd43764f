"""Which labels a picture's scores mean."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from serving.bundle.manifest import BAR, SEVERAL, Manifest
from serving.bundle.operating_point import find_declined


def choose_labels(
    scores: npt.NDArray[np.float32], manifest: Manifest, decline_below: float = 0.0
) -> tuple[str, ...]:
    """Scores [classes] of one picture → what it shows, best first; empty: none of the classes.

    decline_below: of an operating point; of no meaning where a picture may have several labels.
    """
    if manifest.task == SEVERAL:
        order = np.argsort(-scores, kind="stable")
        reached = scores >= np.asarray(manifest.thresholds, np.float32)
        return tuple(manifest.classes[place] for place in order if reached[place])
    if find_declined(scores[np.newaxis], decline_below)[0]:
        return ()
    return (manifest.classes[int(np.argmax(scores))],)


def measure_sureness(scores: npt.NDArray[np.float32], manifest: Manifest) -> float:
    """Scores [classes] of one picture → how sure the answer is, 0 to 1.

    The best class's probability; where a picture may have several labels, that of the least sure
    decision: over the classes, the smallest of p where it is said, and of 1 - p where it is not.
    """
    if manifest.task != SEVERAL:
        return float(scores.max())
    said = scores >= np.asarray(manifest.thresholds, np.float32)
    return float(np.where(said, scores, 1 - scores).min())


def write_labels(labels: Iterable[str]) -> str:
    """As one string, sorted, a bar between them; empty where there is none."""
    return BAR.join(sorted(labels))
