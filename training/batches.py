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


def choose_batch_size(samples: int) -> int:
    """A power of two that gives about a dozen steps an epoch."""
    size = 1 << round(math.log2(max(1.0, samples / STEPS_PER_EPOCH)))
    return max(SMALLEST, min(LARGEST, size))


@dataclass(frozen=True)
class Batch:
    """One rank's share of a global batch: rows, and the weight of each row's loss.

    Weights are group size / global batch size, zero for rows that only fill the share up: the
    mean of the ranks' gradients is then the gradient of the global batch's mean loss.
    """

    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def make_batches(
    samples: int, batch_size: int, order: npt.NDArray[np.int64], ranks: Ranks
) -> Iterator[Batch]:
    """Cut an order of the samples into global batches and give this rank's shares."""
    for start in range(0, samples, batch_size):
        whole = order[start : start + batch_size]
        share = math.ceil(len(whole) / ranks.size)
        rows = whole[ranks.rank * share : (ranks.rank + 1) * share]
        weights = np.zeros(share, dtype=np.float32)
        weights[: len(rows)] = ranks.size / len(whole)
        yield Batch(np.concatenate([rows, np.repeat(whole[:1], share - len(rows))]), weights)
