"""Which samples a trial learns from, and which it is judged by."""

from dataclasses import dataclass

import numpy as np

from training.search.dealing import deal_groups
from training.tasks.protocol import Floats, Integers, Samples

# Below this, one mistake more or less moves the accuracy by half a point: too few to choose by.
LEAST_VAL = 200
MOST_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """Rows to learn from, each as often as an epoch meets it, and rows to be judged by."""

    train: Integers
    held_out: Integers


@dataclass(frozen=True)
class Folds:
    """Every held-out row is in one fold. weights: of every row's loss, [n].

    joined: the val side was too small, so train and val samples together were dealt out.
    """

    folds: tuple[Fold, ...]
    weights: Floats
    repeats: Integers
    joined: bool

    def __len__(self) -> int:
        return len(self.folds)

    @property
    def held_out(self) -> Integers:
        """All held-out rows, fold after fold."""
        return np.concatenate([fold.held_out for fold in self.folds])

    @property
    def learned(self) -> Integers:
        """Rows that the final fit learns from, each as often as an epoch meets it."""
        if self.joined:
            return np.repeat(np.arange(len(self.repeats)), self.repeats)
        return self.folds[0].train


def make_folds(samples: Samples, seed: int) -> Folds:
    """One fold judged by the val side, or where that is small up to five of train and val.

    Near-duplicates stay in one fold, and each fold has about the same share of every class.
    """
    if samples.val.sum() >= LEAST_VAL:
        train = np.flatnonzero(~samples.val)
        fold = Fold(np.repeat(train, samples.repeats[train]), np.flatnonzero(samples.val))
        return Folds((fold,), samples.weights, samples.repeats, joined=False)
    return deal_all(samples, seed)


def deal_all(samples: Samples, seed: int) -> Folds:
    """Up to five folds of train and val, however large the val side is."""
    weights, repeats = _treat_alike(samples)
    folds = []
    for train, held_out in _deal(samples, seed):
        folds.append(Fold(np.repeat(train, repeats[train]), held_out))
    return Folds(tuple(folds), weights, repeats, joined=True)


def _deal(samples: Samples, seed: int) -> list[tuple[Integers, Integers]]:
    groups_per_class = [
        len(np.unique(samples.groups[samples.strata == stratum]))
        for stratum in np.unique(samples.strata)
    ]
    count = int(np.clip(min(groups_per_class), 2, MOST_FOLDS))
    dealt = deal_groups(samples.strata, samples.groups, count, seed)
    both = [(np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)) for fold in range(count)]
    return [(train, held) for train, held in both if len(held) and len(train)]


def _treat_alike(samples: Samples) -> tuple[Floats, Integers]:
    """Weights and repeats, where a val sample gets those of its stratum on the train side."""
    weights, repeats = samples.weights.copy(), samples.repeats.copy()
    for stratum in np.unique(samples.strata[samples.val]):
        mine = samples.strata == stratum
        alike = mine & ~samples.val
        if not alike.any():
            # Where samples have several classes, there may be none with the same rarest one.
            alike = ~samples.val
        weights[mine & samples.val] = samples.weights[alike].mean()
        repeats[mine & samples.val] = round(samples.repeats[alike].mean())
    return weights, repeats
