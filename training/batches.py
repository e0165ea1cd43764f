"""How samples are cut into steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.ranks import Ranks

# Enough steps for the optimizer to turn, few enough that their fixed cost does not rule.
STEPS_PER_EPOCH = 12
SMALLEST, LARGEST = 32, 1024
PER_CARD = 64


def choose_batch_size(samples: int) -> int:
    """A power of two that gives about a dozen steps an epoch."""
    size = 1 << round(math.log2(max(1.0, samples / STEPS_PER_EPOCH)))
    return max(SMALLEST, min(LARGEST, size))


def choose_step_size(samples: int, ranks: Ranks, *, costly: bool) -> int:
    """Samples of a step; of costly ones as few as possible: an epoch of them must turn often.

    A card computes some dozens at once as fast as a few.
    """
    usual = choose_batch_size(samples)
    if not costly:
        return usual
    return min(usual, PER_CARD * ranks.size) if ranks.device == "gpu" else SMALLEST


@dataclass(frozen=True)
class Batch:
    """One rank's share of a global batch: rows, and the weight of each row's loss.

    whole: rows of the global batch; places: of this share in it.

    Weights are group size / global batch size, zero for rows that only fill the share up: the
    mean of the ranks' gradients is then the gradient of the global batch's mean loss.
    """

    whole: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Of this share."""
        return self.whole[self.places]


def make_batches(
    samples: int, batch_size: int, order: npt.NDArray[np.int64], ranks: Ranks
) -> Iterator[Batch]:
    """Cut an order of the samples into global batches and give this rank's shares."""
    for start in range(0, samples, batch_size):
        whole = order[start : start + batch_size]
        share = math.ceil(len(whole) / ranks.size)
        places = np.arange(ranks.rank * share, (ranks.rank + 1) * share)
        real = places < len(whole)
        weights = np.where(real, np.float32(ranks.size / len(whole)), np.float32(0))
        yield Batch(whole, np.where(real, places, 0), weights)
