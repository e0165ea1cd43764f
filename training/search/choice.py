"""Which of the finished trials the model is made by."""

import math
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from serving.job.search import Recipe, Trial
from training.search.trial import read_fit, read_trial
from training.tasks.protocol import Measured

# A mean difference of that many standard errors is chance one time in twenty.
LEAST_ERRORS = 2.0


def choose(done: Sequence[FrozenTrial], first: Sequence[Recipe]) -> Trial | None:
    """The trial of the least loss, or one of the first recipes that cannot be told from it.

    On few samples the least of many losses is mostly luck, and the first recipes are known to be
    good: the earliest of them wins that is not worse for certain (the one-standard-error rule of
    Breiman et al. 1984, section 3.4.3, in pairs). None where no trial is finished and allowed.
    """
    finished = [one for one in done if one.state == TrialState.COMPLETE]
    pairs = [(read_trial(one), read_fit(one).best) for one in finished]
    allowed = [(trial, measured) for trial, measured in pairs if trial.allowed]
    if not allowed:
        return None
    least, best = min(allowed, key=lambda pair: (pair[1].loss, pair[0].number))
    for recipe in first:
        for trial, measured in allowed:
            if trial.recipe == recipe and not is_worse(measured, best):
                return trial
    return least


def is_worse(one: Measured, other: Measured) -> bool:
    """Whether its losses of the same samples are larger by more than chance."""
    more = np.array(one.parts) - np.array(other.parts)
    return bool(more.mean() > LEAST_ERRORS * more.std() / math.sqrt(more.size))
