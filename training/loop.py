"""A training from its first epoch to its last, on all ranks together, with checkpoints."""

import math
import time
from collections.abc import Callable

import paddle

from serving.job.errors import UserError
from training import checkpoint
from training.checkpoint import Progress
from training.fit import Fit, Rows, Trained, checkpoint_key
from training.head_weights import set_weights
from training.progress import EpochLines
from training.ranks import Ranks
from training.tasks.protocol import TaskModel
from training.trainer import Trainer

# Writing a checkpoint costs about as much as an epoch of a head: by time, not by epoch.
CHECKPOINT_INTERVAL_S = 1.0
# Within an epoch: a kill costs at most so much.
STEP_INTERVAL_S = 60.0
IsOver = Callable[[Progress, int], bool]


class DivergedError(UserError):
    """The loss has grown beyond all bounds. key: of the training's checkpoint."""

    def __init__(self, text: str, key: str) -> None:
        super().__init__(text)
        self.key = key


def train_head(
    fit: Fit,
    ranks: Ranks,
    rows: Rows,
    task: TaskModel,
    scratch_uri: str,
    *,
    network: paddle.nn.Layer | None = None,
    is_over: IsOver | None = None,
    on_saved: Callable[[], None] = lambda: None,
) -> Trained:
    """Train until nothing gets better; goes on from the checkpoint of a killed attempt.

    network: what is trained instead of a new head. is_over: whether its time is up, by its progress
    and how many whole epochs of it are this attempt's; asked after each epoch, and before one where
    an earlier attempt had some. on_saved: called by the leading rank after each checkpoint.
    DivergedError where the loss grows beyond all bounds.
    """
    key = checkpoint_key(fit, ranks, rows, network)
    trainer = Trainer(fit, ranks, rows, task, network)
    path = checkpoint.find_file(scratch_uri, key)
    # One rank reads for all: an older attempt that still runs may replace the file at any time.
    saved = ranks.broadcast(checkpoint.read(path) if ranks.leads else b"")
    if saved:
        trainer.restore(checkpoint.from_bytes(saved))
    done = len(trainer.epochs)
    if saved and ranks.leads:
        inside = f", step {trainer.step} of the next," if trainer.step else ""
        print(f"Going on after epoch {done}{inside} of an earlier attempt.", flush=True)
    # One that an earlier attempt has begun is no whole one of this.
    first = done + bool(trainer.step)
    lines = EpochLines(fit.epochs, first_epoch=done)
    written = time.monotonic()

    def write(interval: float) -> None:
        nonlocal written
        due = ranks.leads and time.monotonic() - written >= interval
        # A network's may take the disk so long that the others' next step would give up. A head's
        # is small, and asking would cost as much as a step.
        waits = rows.inputs.costly and ranks.broadcast(b"1" if due else b"0") == b"1"
        if due:
            checkpoint.write(path, trainer.save())
            on_saved()
            written = time.monotonic()
        if waits:
            ranks.wait()

    over = bool(done) and _is_over(is_over, ranks, trainer, first)
    while not (trainer.ended or over):
        epoch = trainer.run_epoch(lambda: write(STEP_INTERVAL_S))
        if not math.isfinite(epoch.train_loss + (epoch.val_loss or 0.0)):
            raise DivergedError(
                f"The loss is no number any more in epoch {len(trainer.epochs)}, with learning "
                f"rate {fit.recipe.learning_rate:g}. Run the training again with another seed.",
                key,
            )
        if ranks.leads:
            lines.show(len(trainer.epochs), epoch.train_loss)
        write(CHECKPOINT_INTERVAL_S)
        over = _is_over(is_over, ranks, trainer, first)
    if ranks.leads:
        lines.show(len(trainer.epochs), trainer.epochs[-1].train_loss, last=True)
        # A kill between here and the outcome costs no training.
        checkpoint.write(path, trainer.save())
        on_saved()
    ranks.wait()
    set_weights(trainer.head, trainer.best)
    outputs = trainer.predict()
    measured = None if outputs is None else task.measure(outputs, rows.targets[rows.judged])
    trainer.head.eval()
    return Trained(trainer.head, trainer.scaling, trainer.progress(), measured, outputs, key)


def _is_over(is_over: IsOver | None, ranks: Ranks, trainer: Trainer, first: int) -> bool:
    """The leading rank's answer, on all."""
    if is_over is None:
        return False
    over = ranks.leads and is_over(trainer.progress(), max(0, len(trainer.epochs) - first))
    return ranks.broadcast(b"1" if over else b"0") == b"1"
