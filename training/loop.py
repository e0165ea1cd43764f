"""The final training: the search's winner on all ranks together, with checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import paddle

from serving.job.errors import UserError
from training import checkpoint
from training.batches import SMALLEST, choose_batch_size, make_batches
from training.checkpoint import Checkpoint, Epoch, Progress
from training.early_stopping import EarlyStopping
from training.fit import Fit, Rows, Trained, checkpoint_key
from training.head_weights import copy_weights, set_weights
from training.optimizer import find_share, make_optimizer
from training.progress import EpochLines
from training.ranks import Ranks
from training.tasks.protocol import Arrays, Floats, Integers, Measured, TaskModel

# Writing a checkpoint costs about as much as an epoch: by time, not by epoch.
CHECKPOINT_INTERVAL_S = 1.0
IsOver = Callable[[Progress, int], bool]


class Trainer:
    """State of one training on one rank: of a new head, or of a network that is there."""

    def __init__(
        self,
        fit: Fit,
        ranks: Ranks,
        rows: Rows,
        task: TaskModel,
        network: paddle.nn.Layer | None = None,
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
        # Maps stay on disk: they may be larger than the memory.
        self.on_disk = isinstance(rows.features, np.memmap)
        self.features = None if self.on_disk else paddle.to_tensor(rows.features)
        self.targets = paddle.to_tensor(rows.targets)
        self.weights = paddle.to_tensor(rows.weights)
        # An epoch on maps takes long, so it must turn as often as it can.
        self.batch_size = SMALLEST if self.on_disk else choose_batch_size(len(rows.learned))
        self.epochs: list[Epoch] = []
        self.stopping = EarlyStopping(fit.patience, fit.min_delta)
        self.best = copy_weights(self.head)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to train."""
        stopped = bool(len(self.rows.judged)) and self.stopping.exhausted
        return stopped or len(self.epochs) >= self.fit.epochs

    def run_epoch(self) -> Epoch:
        """Train once over all samples, then judge; the same answer on every rank."""
        samples = len(self.rows.learned)
        # By epoch, so that a resumed training meets the same batches, and drops the same units.
        chance = np.random.default_rng([self.fit.seed, len(self.epochs)])
        paddle.seed(int(chance.integers(2**31)))
        order = chance.permutation(self.rows.learned)
        total = paddle.zeros([], dtype="float32")
        self.network.train()
        steps = math.ceil(samples / self.batch_size)
        batches = make_batches(samples, self.batch_size, order, self.ranks)
        for step, batch in enumerate(batches, start=1):
            share = find_share(len(self.epochs) + step / steps, self.fit.horizon)
            self.optimizer.set_lr(self.fit.recipe.learning_rate * share)
            rows = paddle.to_tensor(batch.rows)
            parts = paddle.to_tensor(batch.weights)
            outputs = self.network(self._pick(batch.rows))
            losses = self.task.find_losses(outputs, self.targets[rows], self.fit.recipe)
            losses = losses * self.weights[rows]
            (losses * parts).sum().backward()
            self.optimizer.step()
            self.optimizer.clear_grad()
            total += (losses.detach() * (parts > 0).astype("float32")).sum()
        loss = float(self.ranks.sum(np.array([float(total)]))[0]) / samples
        measured = self.measure()
        epoch = Epoch(
            train_loss=loss,
            val_loss=None if measured is None else measured.loss,
            val_accuracy=None if measured is None else measured.accuracy,
        )
        self.epochs.append(epoch)
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
            if self.on_disk:
                return self._share_outputs(judged)
            outputs: Floats = self.head(self._pick(judged)).numpy()
            return outputs

    def _share_outputs(self, rows: Integers) -> Floats:
        """Each rank's part of the rows, all of them on every rank."""
        outputs = np.zeros((len(rows), len(self.fit.classes)))
        mine = np.arange(self.ranks.rank, len(rows), self.ranks.size)
        for start in range(0, len(mine), self.batch_size):
            some = mine[start : start + self.batch_size]
            outputs[some] = self.head(self._pick(rows[some])).numpy()
        return self.ranks.sum(outputs).astype(np.float32)

    def _pick(self, rows: Integers) -> paddle.Tensor:
        if self.features is None:
            return paddle.to_tensor(np.asarray(self.rows.features[rows]))
        picked: paddle.Tensor = self.features[paddle.to_tensor(rows)]
        return picked

    def _optimizer_state(self) -> Arrays:
        """The optimizer's arrays, each under its parameter's name in the network.

        Paddle keeps them under names that count the layers made in this process.
        """
        state = self.optimizer.state_dict()
        return {
            f"{name}/{key.removeprefix(parameter.name)}": value.numpy().copy()
            for name, parameter in self.head.named_parameters()
            for key, value in state.items()
            if key.startswith(f"{parameter.name}_")
        }

    def _set_optimizer_state(self, arrays: Arrays) -> None:
        names = {name: parameter.name for name, parameter in self.head.named_parameters()}
        state = {}
        for key, array in arrays.items():
            name, _, suffix = key.rpartition("/")
            state[names[name] + suffix] = paddle.to_tensor(array)
        self.optimizer.set_state_dict(state)

    def progress(self) -> Progress:
        """Curves and early stopping's state."""
        found = math.isfinite(self.stopping.best_loss)
        return Progress(
            epochs=tuple(self.epochs),
            best_epoch=self.stopping.best_epoch,
            best_loss=self.stopping.best_loss if found else None,
        )

    def save(self) -> Checkpoint:
        """State after the last epoch."""
        return Checkpoint(
            progress=self.progress(),
            network=copy_weights(self.head),
            optimizer=self._optimizer_state(),
            best=self.best,
        )

    def restore(self, state: Checkpoint) -> None:
        """Go back to a saved state."""
        set_weights(self.head, state.network)
        self._set_optimizer_state(state.optimizer)
        self.best = state.best
        self.epochs = list(state.progress.epochs)
        loss = state.progress.best_loss
        self.stopping = replace(
            self.stopping,
            epoch=len(self.epochs),
            best_epoch=state.progress.best_epoch,
            best_loss=math.inf if loss is None else loss,
        )


def train_head(
    fit: Fit,
    ranks: Ranks,
    rows: Rows,
    task: TaskModel,
    scratch_uri: str,
    *,
    network: paddle.nn.Layer | None = None,
    is_over: IsOver | None = None,
) -> Trained:
    """Train until nothing gets better; goes on from the checkpoint of a killed attempt.

    network: what is trained instead of a new head. is_over: whether its time is up, by its progress
    and how many epochs of it are this attempt's; asked after each epoch, and before one where an
    earlier attempt had some. UserError where the loss grows beyond all bounds.
    """
    key = checkpoint_key(fit, ranks, rows, network)
    trainer = Trainer(fit, ranks, rows, task, network)
    path = checkpoint.find_file(scratch_uri, key)
    # One rank reads for all: an older attempt that still runs may replace the file at any time.
    saved = ranks.broadcast(checkpoint.read(path) if ranks.leads else b"")
    if saved:
        trainer.restore(checkpoint.from_bytes(saved))
        if ranks.leads:
            print(f"Going on after epoch {len(trainer.epochs)} of an earlier attempt.", flush=True)
    first = len(trainer.epochs)
    lines = EpochLines(fit.epochs, first_epoch=first)
    written = time.monotonic()
    over = bool(saved) and _is_over(is_over, ranks, trainer, first)
    while not (trainer.ended or over):
        epoch = trainer.run_epoch()
        if not math.isfinite(epoch.train_loss + (epoch.val_loss or 0.0)):
            raise UserError(
                f"The loss is no number any more in epoch {len(trainer.epochs)}, with learning "
                f"rate {fit.recipe.learning_rate:g}. Run the training again with another seed."
            )
        if ranks.leads:
            lines.show(len(trainer.epochs), epoch.train_loss)
            if time.monotonic() - written >= CHECKPOINT_INTERVAL_S:
                checkpoint.write(path, trainer.save())
                written = time.monotonic()
        over = _is_over(is_over, ranks, trainer, first)
    if ranks.leads:
        lines.show(len(trainer.epochs), trainer.epochs[-1].train_loss, last=True)
    if ranks.leads:
        # A kill between here and the outcome costs no training.
        checkpoint.write(path, trainer.save())
    set_weights(trainer.head, trainer.best)
    outputs = trainer.predict()
    measured = None if outputs is None else task.measure(outputs, rows.targets[rows.judged])
    trainer.head.eval()
    return Trained(trainer.head, trainer.scaling, trainer.progress(), measured, outputs)


def _is_over(is_over: IsOver | None, ranks: Ranks, trainer: Trainer, first: int) -> bool:
    """The leading rank's answer, on all."""
    if is_over is None:
        return False
    over = ranks.leads and is_over(trainer.progress(), len(trainer.epochs) - first)
    return ranks.broadcast(b"1" if over else b"0") == b"1"
