"""One training on one rank, step by step."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import paddle

from training.batches import choose_step_size, make_batches
from training.checkpoint import Checkpoint, Epoch, Progress
from training.early_stopping import EarlyStopping
from training.fit import Fit, Rows
from training.head_weights import copy_weights, set_weights
from training.norms import Statistics
from training.optimizer import copy_state, find_share, make_optimizer, set_state
from training.precision import Stepper
from training.ranks import Ranks
from training.sources import Given
from training.tasks.protocol import Floats, Integers, Measured, TaskModel


class Trainer:
    """State of one training on one rank: of a new head, or of a network that is there.

    batch_size: samples of a step, where these rows stand for more of them.
    """

    def __init__(
        self,
        fit: Fit,
        ranks: Ranks,
        rows: Rows,
        task: TaskModel,
        network: paddle.nn.Layer | None = None,
        *,
        batch_size: int | None = None,
    ) -> None:
        self.fit, self.ranks, self.rows, self.task = fit, ranks, rows, task
        paddle.seed(fit.seed)
        # The weights of a head that is there mean something only with its own scaling.
        self.scaling = rows.scaling if fit.start is None else fit.start.scaling
        self.head = network or task.make_head(
            fit.recipe, self.scaling, len(fit.classes), 0, fit.seed
        )
        if fit.start is not None:
            known = task.place_classes(self.head, fit.start.weights, fit.start.classes, fit.classes)
            set_weights(self.head, known)
        self.network = ranks.wrap(self.head)
        self.optimizer = make_optimizer(self.head, fit.recipe)
        self._stepper = Stepper(self.optimizer, halves=rows.inputs.costly and ranks.device == "gpu")
        self._statistics = Statistics(self.head, ranks)
        self.targets = paddle.to_tensor(rows.targets)
        self.weights = paddle.to_tensor(rows.weights)
        self.batch_size = batch_size or choose_step_size(
            len(rows.learned), ranks, costly=rows.inputs.costly
        )
        self.epochs: list[Epoch] = []
        # Of the epoch that is going on.
        self.step, self.lost = 0, 0.0
        self.stopping = EarlyStopping(fit.patience, fit.min_delta)
        self.best = copy_weights(self.head)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to train."""
        stopped = bool(len(self.rows.judged)) and self.stopping.exhausted
        return stopped or len(self.epochs) >= self.fit.epochs

    def run_epoch(self, after_step: Callable[[], None] = lambda: None) -> Epoch:
        """Train once over all samples, then judge; the same answer on every rank.

        after_step: called on every rank; save() gives a whole state in it.
        """
        samples = len(self.rows.learned)
        # By epoch and step, so that a resumed training meets the same batches, and drops the same
        # units.
        chance = np.random.default_rng([self.fit.seed, len(self.epochs)])
        first = int(chance.integers(2**31))
        order = chance.permutation(self.rows.learned)
        self.network.train()
        steps = math.ceil(samples / self.batch_size)
        batches = make_batches(samples, self.batch_size, order, self.ranks)
        for step, batch in enumerate(batches, start=1):
            if step <= self.step:
                continue
            paddle.seed(first + step)
            share = find_share(len(self.epochs) + step / steps, self.fit.horizon)
            self.optimizer.set_lr(self.fit.recipe.learning_rate * share)
            parts = paddle.to_tensor(batch.weights)
            seeds = (self.fit.seed, len(self.epochs), step)
            given = self.rows.inputs.draw(batch, self.fit.recipe, seeds)
            with self._stepper.context():
                losses = self._find_losses(given, batch.rows)
            self._stepper.step((losses * parts).sum())
            self._statistics.share()
            lost = (losses.detach() * (parts > 0).astype("float32")).sum()
            self.lost += float(self.ranks.sum(np.array([float(lost)]))[0])
            self.step = step
            after_step()
        return self._end_epoch(self.lost / samples)

    def _find_losses(self, given: Given, rows: Integers) -> paddle.Tensor:
        """Of a share's samples, each times its weight."""
        outputs = self.network(given.inputs)
        own = self._weigh_losses(outputs, rows)
        if given.others is None or given.share is None:
            return own
        mixed: paddle.Tensor = given.share * own
        return mixed + (1 - given.share) * self._weigh_losses(outputs, given.others)

    def _weigh_losses(self, outputs: paddle.Tensor, rows: Integers) -> paddle.Tensor:
        places = paddle.to_tensor(rows)
        losses = self.task.find_losses(outputs, self.targets[places], self.fit.recipe)
        weighted: paddle.Tensor = losses * self.weights[places]
        return weighted

    def _end_epoch(self, loss: float) -> Epoch:
        measured = self.measure()
        epoch = Epoch(
            train_loss=loss,
            val_loss=None if measured is None else measured.loss,
            val_accuracy=None if measured is None else measured.accuracy,
        )
        self.epochs.append(epoch)
        self.step, self.lost = 0, 0.0
        # Without anything to stop by, the last epoch is the best.
        by = -float(len(self.epochs)) if measured is None else measured.loss
        self.stopping = self.stopping.after(by)
        if self.stopping.improved:
            self.best = copy_weights(self.head)
        return epoch

    def measure(self) -> Measured | None:
        """Judge by the judged rows, if there are any."""
        outputs = self.predict()
        if outputs is None:
            return None
        return self.task.measure(outputs, self.rows.targets[self.rows.judged])

    def predict(self) -> Floats | None:
        """Outputs for the judged rows; a head is so cheap that every rank makes them alone."""
        judged = self.rows.judged
        if not len(judged):
            return None
        self.network.eval()
        with paddle.no_grad():
            if self.rows.inputs.costly:
                return self._share_outputs(judged)
            outputs: Floats = self.head(self.rows.inputs.pick(judged)).numpy()
            return outputs

    def _share_outputs(self, rows: Integers) -> Floats:
        """Each rank's part of the rows, all of them on every rank."""
        outputs = np.zeros((len(rows), len(self.fit.classes)))
        mine = np.arange(self.ranks.rank, len(rows), self.ranks.size)
        for start in range(0, len(mine), self.batch_size):
            some = mine[start : start + self.batch_size]
            outputs[some] = self.head(self.rows.inputs.pick(rows[some])).numpy()
        self.ranks.wait()
        return self.ranks.sum(outputs).astype(np.float32)

    def progress(self) -> Progress:
        """Curves and early stopping's state."""
        found = math.isfinite(self.stopping.best_loss)
        return Progress(
            epochs=tuple(self.epochs),
            best_epoch=self.stopping.best_epoch,
            best_loss=self.stopping.best_loss if found else None,
            step=self.step,
            lost=self.lost,
        )

    def save(self) -> Checkpoint:
        """State after the last step."""
        return Checkpoint(
            progress=self.progress(),
            network=copy_weights(self.head),
            optimizer=copy_state(self.optimizer, self.head),
            best=self.best,
            scaler=self._stepper.copy_state(),
        )

    def restore(self, state: Checkpoint) -> None:
        """Go back to a saved state."""
        set_weights(self.head, state.network)
        set_state(self.optimizer, self.head, state.optimizer)
        self._stepper.set_state(state.scaler)
        self.best = state.best
        self.epochs = list(state.progress.epochs)
        self.step, self.lost = state.progress.step, state.progress.lost
        loss = state.progress.best_loss
        self.stopping = replace(
            self.stopping,
            epoch=len(self.epochs),
            best_epoch=state.progress.best_epoch,
            best_loss=math.inf if loss is None else loss,
        )
