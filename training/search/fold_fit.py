"""One trial's fit: all folds at once, as copies of a head side by side in one network.

A fit of five folds costs little more than one: small steps cost their overhead, not their sums.
"""

from dataclasses import dataclass

import numpy as np
import paddle

from serving.job.search import Recipe
from training.batches import choose_batch_size
from training.optimizer import make_optimizer
from training.search.folds import Folds
from training.tasks.protocol import Floats, Integers, Measured, Samples, Scaling, TaskModel

# Rows of each copy; their features are copied out of the matrix of all.
MOST_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class FoldData:
    """What every trial on one input shares. features: scaled, [n, d]."""

    samples: Samples
    folds: Folds
    features: paddle.Tensor
    classes: int


def scale_all(matrix: Floats, scaling: Scaling) -> paddle.Tensor:
    """Features [n, d] as a head makes them of raw ones, once for all steps of all trials."""
    shift = paddle.to_tensor(scaling.mean.astype(np.float32))
    scaled: paddle.Tensor = (paddle.to_tensor(matrix) - shift) * (1 / scaling.deviation)
    return scaled


class FoldFit:
    """State of one trial's fit."""

    def __init__(self, data: FoldData, task: TaskModel, recipe: Recipe, seed: int) -> None:
        self._data, self._task, self._recipe, self._seed = data, task, recipe, seed
        paddle.seed(seed)
        folds = data.folds.folds
        unscaled = Scaling.leave(data.features.shape[1])
        self._head = task.make_head(recipe, unscaled, data.classes, len(folds), seed)
        self._optimizer = make_optimizer(self._head, recipe)
        self._batch_size = choose_batch_size(len(data.folds.learned))
        self._epoch = 0

    def run_epoch(self) -> None:
        """Train every copy once over its own samples."""
        self._head.train()
        order, counts = self._deal_order()
        for start in range(0, order.shape[1], self._batch_size):
            rows = order[:, start : start + self._batch_size]
            # A fold with fewer samples has a shorter last batch, which is filled up.
            real = np.arange(start, start + rows.shape[1]) < counts[:, None]
            share = self._data.folds.weights[rows] * real
            share = share / np.maximum(1, real.sum(axis=1, keepdims=True))
            outputs = self._head(self._gather(rows))
            targets = paddle.to_tensor(self._data.samples.targets[rows])
            losses = self._task.find_losses(outputs, targets, self._recipe)
            (losses * paddle.to_tensor(share.astype(np.float32))).sum().backward()
            self._optimizer.step()
            # Gradients made anew cost less than old ones set to 0.
            self._optimizer.clear_grad(set_to_zero=False)
        self._epoch += 1

    def measure(self) -> Measured:
        """Judge all copies together, each by the samples it did not learn from."""
        targets = self._data.samples.targets[self._data.folds.held_out]
        return self._task.measure(self.predict(), targets)

    def predict(self) -> Floats:
        """Outputs for all held-out rows, fold after fold, each by its own copy."""
        self._head.eval()
        held = [fold.held_out for fold in self._data.folds.folds]
        longest = max(map(len, held))
        rows = np.stack([np.resize(mine, longest) for mine in held])
        with paddle.no_grad():
            parts = [
                self._head(self._gather(rows[:, start : start + MOST_AT_ONCE])).numpy()
                for start in range(0, longest, MOST_AT_ONCE)
            ]
        outputs = np.concatenate(parts, axis=1)
        own = [outputs[copy, : len(mine)] for copy, mine in enumerate(held)]
        return np.concatenate(own)

    def _gather(self, rows: Integers) -> paddle.Tensor:
        picked = paddle.gather(self._data.features, paddle.to_tensor(rows.reshape(-1)))
        features: paddle.Tensor = picked.reshape([*rows.shape, -1])
        return features

    def _deal_order(self) -> tuple[Integers, Integers]:
        """This epoch's rows for every copy, [copies, m], and how many of each are no fillers."""
        counts = np.array([len(fold.train) for fold in self._data.folds.folds])
        rows = []
        for number, fold in enumerate(self._data.folds.folds):
            chance = np.random.default_rng([self._seed, self._epoch, number])
            rows.append(np.resize(chance.permutation(fold.train), counts.max()))
        return np.stack(rows), counts
