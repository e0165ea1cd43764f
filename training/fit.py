"""What a training is given, what it gives, and the hash that tells one from another."""

import hashlib
from dataclasses import dataclass

import paddle

from serving.job.search import Recipe
from training.checkpoint import Progress
from training.head_weights import Start, hash_weights
from training.ranks import Ranks
from training.sources import Source
from training.tasks.protocol import Floats, Integers, Measured, Scaling, Targets


@dataclass(frozen=True)
class Fit:
    """What decides the weights, besides the samples and the ranks.

    min_delta, patience: of early stopping, where there are samples to stop by. Where there are
    none, exactly `epochs` are trained. classes: their names, in the order of the outputs. start: a
    head to go on from, of the same recipe on the same input. horizon: epochs until the learning
    rate has fallen to 0; 0: it stays.
    """

    recipe: Recipe
    seed: int
    epochs: int
    patience: int
    min_delta: float
    classes: tuple[str, ...]
    start: Start | None = None
    horizon: int = 0


@dataclass(frozen=True)
class Rows:
    """Inputs, targets and weights of the loss, of n samples.

    learned: rows to train on, each as often as an epoch meets it; judged: rows to stop by, or none.
    """

    inputs: Source
    targets: Targets
    weights: Floats
    learned: Integers
    judged: Integers
    scaling: Scaling


@dataclass(frozen=True)
class Trained:
    """A head with its best weights, what it divides features by, and how it came to them.

    measured, outputs: at the best epoch, of the rows to stop by; None where there were none. key:
    see checkpoint_key.
    """

    head: paddle.nn.Layer
    scaling: Scaling
    progress: Progress
    measured: Measured | None
    outputs: Floats | None = None
    key: str = ""


def checkpoint_key(
    fit: Fit, ranks: Ranks, rows: Rows, network: paddle.nn.Layer | None = None
) -> str:
    """Hash of all that decides the weights; another attempt of the same training shares it."""
    digest = hashlib.sha256(f"{fit}/{ranks.size}/{ranks.device}".encode())
    if network is not None:
        digest.update(hash_weights(network).encode())
    digest.update(rows.inputs.describe())
    for array in (rows.targets, rows.weights, rows.learned, rows.judged):
        digest.update(array.tobytes())
    return digest.hexdigest()
