"""Several classes a sample: each a yes or no of its own, on the features that all share."""

import math
from typing import Final

import numpy as np
import onnx
import paddle
from paddle import nn
from scipy.special import expit

from serving.bundle.manifest import SEVERAL, Task
from serving.job.search import Recipe
from training.tasks.heads import CosineWithBias, Head, Linear, Perceptron, place_classes
from training.tasks.judging import WORST, judge
from training.tasks.layers import Doubles
from training.tasks.multilabel.thresholds import choose_thresholds
from training.tasks.network import Network, append_nodes, join_layers
from training.tasks.protocol import Floats, Measured, Scaling

__all__ = [
    "TASK",
    "append_head",
    "choose_thresholds",
    "find_losses",
    "join",
    "make_head",
    "measure",
    "place_classes",
    "to_scores",
]
TASK: Final[Task] = SEVERAL
KINDS = {"linear": Linear, "cosine": CosineWithBias, "mlp": Perceptron}


def make_head(recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int) -> Head:
    """Build the head that the recipe names; see TaskModel."""
    return KINDS[recipe.head](recipe, scaling, classes, copies, seed)


def find_losses(outputs: paddle.Tensor, targets: paddle.Tensor, recipe: Recipe) -> paddle.Tensor:
    """Binary cross-entropy against smoothed labels, summed over the classes, […, n].

    targets: […, n, classes]. With two answers a class, smoothing spreads half of its share to each.
    """
    smoothed = targets * (1 - recipe.smoothing) + recipe.smoothing / 2
    each = nn.functional.binary_cross_entropy_with_logits(outputs, smoothed, reduction="none")
    losses: paddle.Tensor = each.sum(axis=-1)
    return losses


def measure(outputs: Floats, targets: Floats) -> Measured:
    """Binary cross-entropy at the best temperature, summed over the classes; see TaskModel.

    accuracy: share of the samples of which every class is right, said from a probability of 0.5.
    """
    logits = outputs.astype(np.float64)
    if not np.isfinite(logits).all():
        return WORST
    right = ((logits >= 0) == (targets > 0)).all(axis=1)
    return judge(right, lambda rows, value: _find_losses(logits[rows], targets[rows], value))


def _find_losses(logits: Doubles, targets: Floats, log_temperature: float) -> Doubles:
    """Binary cross-entropy of each sample, summed over the classes, [n].

    Against targets as if each class had been seen once more, and once more been absent: without it,
    a head that makes no mistake on few samples would be called certain (Platt 1999, section 2.2).
    """
    little = 1 / (len(logits) + 2)
    softened = targets * (1 - 2 * little) + little
    cooled = logits / math.exp(log_temperature)
    found: Doubles = (np.logaddexp(0, cooled) - softened * cooled).sum(axis=1)
    return found


def to_scores(outputs: Floats, temperature: float) -> Floats:
    """Probabilities, each class's its own; see TaskModel."""
    scores: Floats = expit(outputs / np.float32(temperature))
    return scores


def join(extractor: nn.Layer, head: Head, temperature: float) -> Network:
    """Build the whole network for inference; see TaskModel."""
    return join_layers(extractor, head, temperature, "Sigmoid")


def append_head(backbone: onnx.ModelProto, head: Head, temperature: float) -> onnx.ModelProto:
    """Append a head and Sigmoid to a backbone [n, 3, size, size] → [n, d]."""
    return append_nodes(backbone, head, temperature, "Sigmoid")
