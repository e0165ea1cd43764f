"""The training: setup → load → fit → validate → export, the same for every task type."""

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import paddle

from serving.job.errors import UserError
from training import checkpoint
from training.checkpoint import Arrays, Checkpoint, Epoch, Progress
from training.early_stopping import EarlyStopping
from training.progress import ProgressLines
from training.ranks import Ranks
from training.spec import TrainSpec
from training.tasks.protocol import Examples, Sides, TaskModel

# Writing a checkpoint costs about as much as an epoch: by time, not by epoch.
CHECKPOINT_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Trained:
    """A head with its best weights, and how it came to them."""

    head: paddle.nn.Layer
    progress: Progress

    @property
    def best(self) -> Epoch:
        """Curves at the best epoch."""
        return self.progress.epochs[self.progress.best_epoch - 1]


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


def checkpoint_key(spec: TrainSpec, ranks: Ranks) -> str:
    """Hash of all that decides the weights; another attempt of the same training shares it."""
    text = f"{spec.model_copy(update={'output_uri': ''}).fingerprint()}/{ranks.size}/{ranks.device}"
    return hashlib.sha256(text.encode()).hexdigest()


class Trainer:
    """State of one training on one rank."""

    def __init__(self, spec: TrainSpec, ranks: Ranks, sides: Sides, task: TaskModel) -> None:
        self.spec, self.ranks, self.task = spec, ranks, task
        paddle.seed(spec.seed)
        self.head = task.make_head(spec, sides)
        self.network = ranks.wrap(self.head)
        # Pull only matrices towards zero: a bias has nothing to overfit with.
        decayed = {p.name for p in self.head.parameters() if len(p.shape) > 1}
        self.optimizer = paddle.optimizer.AdamW(
            learning_rate=spec.learning_rate,
            parameters=self.head.parameters(),
            weight_decay=spec.weight_decay,
            apply_decay_param_fun=decayed.__contains__,
        )
        self.train, self.val = _Tensors(sides.train), _Tensors(sides.val)
        self.weights = paddle.to_tensor(sides.train.weights)
        # Rows of the train side, each as often as an epoch meets it.
        self.rows = np.repeat(np.arange(len(self.train)), sides.train.repeats)
        self.epochs: list[Epoch] = []
        self.stopping = EarlyStopping(spec.patience, spec.min_delta)
        self.best = self._weights()

    def run_epoch(self) -> Epoch:
        """Train once over all samples, then validate; the same answer on every rank."""
        samples = len(self.rows)
        # By epoch, so that a resumed training meets the same batches.
        chance = np.random.default_rng([self.spec.seed, len(self.epochs)])
        order = self.rows[chance.permutation(samples)]
        total = paddle.zeros([], dtype="float32")
        self.network.train()
        for batch in make_batches(samples, self.spec.batch_size, order, self.ranks):
            rows = paddle.to_tensor(batch.rows)
            weights = paddle.to_tensor(batch.weights)
            outputs = self.network(self.train.inputs[rows])
            losses = self.task.train_losses(outputs, self.train.targets[rows]) * self.weights[rows]
            (losses * weights).sum().backward()
            self.optimizer.step()
            self.optimizer.clear_grad()
            total += (losses.detach() * (weights > 0).astype("float32")).sum()
        val_loss, right = self._validate()
        sums = self.ranks.sum(np.array([float(total), val_loss, right], dtype=np.float64))
        epoch = Epoch(
            train_loss=sums[0] / samples,
            val_loss=sums[1] / len(self.val),
            val_accuracy=sums[2] / len(self.val),
        )
        self.epochs.append(epoch)
        self.stopping = self.stopping.after(epoch.val_loss)
        if self.stopping.improved:
            self.best = self._weights()
        return epoch

    def _validate(self) -> tuple[float, float]:
        """Sum of losses and number of right answers over this rank's share of the val side."""
        share = slice(self.ranks.rank, None, self.ranks.size)
        inputs, targets = self.val.inputs[share], self.val.targets[share]
        if inputs.shape[0] == 0:
            return 0.0, 0.0
        self.network.eval()
        with paddle.no_grad():
            outputs = self.head(inputs)
            losses = self.task.train_losses(outputs, targets)
            return float(losses.sum()), float(self.task.count_right(outputs, targets))

    def _weights(self) -> Arrays:
        return {name: value.numpy().copy() for name, value in self.head.state_dict().items()}

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
            network=self._weights(),
            optimizer=self._optimizer_state(),
            best=self.best,
        )

    def restore(self, state: Checkpoint) -> None:
        """Go back to a saved state."""
        _set_weights(self.head, state.network)
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


class _Tensors:
    """One side on this rank's device."""

    def __init__(self, examples: Examples) -> None:
        self.inputs = paddle.to_tensor(examples.inputs)
        self.targets = paddle.to_tensor(examples.targets)

    def __len__(self) -> int:
        return int(self.targets.shape[0])


def _set_weights(head: paddle.nn.Layer, weights: Arrays) -> None:
    head.set_state_dict({name: paddle.to_tensor(array) for name, array in weights.items()})


def fit(spec: TrainSpec, ranks: Ranks, sides: Sides, task: TaskModel) -> Trained:
    """Train until nothing gets better; goes on from the checkpoint of a killed attempt.

    UserError where the loss grows beyond all bounds.
    """
    trainer = Trainer(spec, ranks, sides, task)
    path = checkpoint.find_file(spec.scratch_uri, checkpoint_key(spec, ranks))
    # One rank reads for all: an older attempt that still runs may replace the file at any time.
    saved = ranks.broadcast(checkpoint.read(path) if ranks.leads else b"")
    if saved:
        trainer.restore(checkpoint.from_bytes(saved))
        if ranks.leads:
            print(f"Going on after epoch {len(trainer.epochs)} of an earlier attempt.", flush=True)
    lines = ProgressLines(spec.max_epochs, first_epoch=len(trainer.epochs))
    written = time.monotonic()
    while len(trainer.epochs) < spec.max_epochs and not trainer.stopping.exhausted:
        epoch = trainer.run_epoch()
        if not math.isfinite(epoch.train_loss + epoch.val_loss):
            raise UserError(
                f"The loss is no number any more in epoch {len(trainer.epochs)}. learning_rate is "
                f"{spec.learning_rate:g}: choose a smaller one."
            )
        if ranks.leads:
            lines.show(len(trainer.epochs), epoch, trainer.stopping.best_epoch)
            if time.monotonic() - written >= CHECKPOINT_INTERVAL_S:
                checkpoint.write(path, trainer.save())
                written = time.monotonic()
    if ranks.leads:
        lines.show(len(trainer.epochs), trainer.epochs[-1], trainer.stopping.best_epoch, last=True)
    _set_weights(trainer.head, trainer.best)
    trainer.head.eval()
    return Trained(head=trainer.head, progress=trainer.progress())


def hash_weights(head: paddle.nn.Layer) -> str:
    """Hash of a head's weights by name, shape and bits: equal networks, and only those."""
    digest = hashlib.sha256()
    for name, value in sorted(head.state_dict().items()):
        array = value.numpy()
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
