"""How honest outputs are at the temperature that makes them most so."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from training.tasks.layers import Doubles
from training.tasks.protocol import Measured

# Temperatures are looked for between 1/20 and 20.
LARGEST_TEMPERATURE = 20.0
TEMPERATURE_PRECISION = 1e-2
# One number needs no more samples to be found.
MOST_FOR_TEMPERATURE = 5_000
# Losses are kept to tell two trials apart by: so many tell as well as all of them, once each is the
# mean of many.
MOST_PARTS = 1_000
DIGITS = 6
# Of outputs that are no numbers.
WORST: Final = Measured(loss=math.inf, error=math.inf, accuracy=0.0, temperature=1.0)


def judge(right: npt.NDArray[np.bool_], find_losses: Callable[[slice, float], Doubles]) -> Measured:
    """right: whether all is right of each sample, [n].

    find_losses: some of the samples, and a temperature's logarithm → their losses there.
    """
    step = max(1, len(right) // MOST_FOR_TEMPERATURE)
    bound = math.log(LARGEST_TEMPERATURE)
    best = minimize_scalar(
        lambda value: float(find_losses(slice(None, None, step), value).mean()),
        bounds=(-bound, bound),
        method="bounded",
        options={"xatol": TEMPERATURE_PRECISION},
    ).x
    found = find_losses(slice(None), best)
    return Measured(
        loss=float(found.mean()),
        error=float(found.std() / math.sqrt(len(found))),
        accuracy=float(right.mean()),
        temperature=math.exp(best),
        parts=_average_parts(found),
    )


def _average_parts(losses: Doubles) -> tuple[float, ...]:
    """Losses, each the mean of every MOST_PARTSth where there are more."""
    part = np.arange(len(losses)) % MOST_PARTS
    means = np.bincount(part, losses) / np.bincount(part)
    return tuple(means.round(DIGITS).tolist())
