"""Samples dealt to folds, as scikit-learn's StratifiedGroupKFold does it, shuffled.

Its folds exactly: importing it took every rank as long as a third of a search's trials.
"""

import math

import numpy as np
import numpy.typing as npt

from training.tasks.protocol import Integers

# Up to here two deals are equally even (numpy.isclose).
RELATIVE, ABSOLUTE = 1e-5, 1e-8
Counts = npt.NDArray[np.float64]


def deal_groups(strata: Integers, groups: Integers, count: int, seed: int) -> Integers:
    """Each sample's fold, below count: groups stay together, strata are spread evenly.

    The groups of the most uneven strata come first; each goes where it leaves them most even, and
    of folds that are alike there, to the one with the fewest samples.
    """
    stratum = np.unique(strata, return_inverse=True)[1]
    group = np.unique(groups, return_inverse=True)[1]
    totals = np.bincount(stratum)
    table = np.zeros((group.max() + 1, len(totals)))
    np.add.at(table, (group, stratum), 1)
    # The older generator is scikit-learn's.
    order = np.random.RandomState(seed).permutation(len(table))
    dealt = np.zeros((count, len(totals)))
    fold = np.zeros(len(table), np.int64)
    for place in order[np.argsort(-np.std(table[order], axis=1), kind="stable")]:
        fold[place] = _find_fold(dealt, table[place], totals)
        dealt[fold[place]] += table[place]
    chosen: Integers = fold[group]
    return chosen


def _find_fold(dealt: Counts, more: Counts, totals: Integers) -> int:
    best, least, fewest = 0, math.inf, math.inf
    every = dealt[None] + np.eye(len(dealt))[:, :, None] * more
    uneven = np.std(every / totals, axis=1).mean(axis=1)
    for fold, (value, samples) in enumerate(zip(uneven, dealt.sum(axis=1), strict=True)):
        alike = abs(value - least) <= ABSOLUTE + RELATIVE * least
        if value < least or (alike and samples < fewest):
            best, least, fewest = fold, value, samples
    return best
