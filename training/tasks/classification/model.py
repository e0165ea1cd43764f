"""Classification: heads on features, their losses, and the network that is served."""

import math
from typing import Final

import numpy as np
import onnx
import paddle
from paddle import nn
from scipy.special import log_softmax, softmax

from serving.bundle.manifest import ONE, Task
from serving.job.search import Recipe
from training.tasks.heads import Cosine, Head, Linear, Perceptron, place_classes
from training.tasks.judging import WORST, judge
from training.tasks.layers import Doubles
from training.tasks.network import Network, append_nodes, join_layers
from training.tasks.protocol import Floats, Integers, Measured, Scaling

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
TASK: Final[Task] = ONE
KINDS = {"linear": Linear, "cosine": Cosine, "mlp": Perceptron}


def make_head(recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int) -> Head:
    """Build the head that the recipe names; see TaskModel."""
    return KINDS[recipe.head](recipe, scaling, classes, copies, seed)


def find_losses(outputs: paddle.Tensor, targets: paddle.Tensor, recipe: Recipe) -> paddle.Tensor:
    """Cross-entropy against smoothed labels (Szegedy et al. 2016, section 7), […, n]."""
    log_scores = nn.functional.log_softmax(outputs, axis=-1)
    picked = paddle.take_along_axis(log_scores, targets.unsqueeze(-1), axis=-1).squeeze(-1)
    return -(1 - recipe.smoothing) * picked - recipe.smoothing * log_scores.mean(axis=-1)


def measure(outputs: Floats, targets: Integers) -> Measured:
    """Cross-entropy at the best temperature, and accuracy; see TaskModel."""
    logits = outputs.astype(np.float64)
    if not np.isfinite(logits).all():
        return WORST
    right = logits.argmax(axis=1) == targets
    return judge(right, lambda rows, value: _find_losses(logits[rows], targets[rows], value))


def _find_losses(logits: Doubles, targets: Integers, log_temperature: float) -> Doubles:
    """Cross-entropy of each sample, [n].

    Against targets that leave the other classes a little, as if each had one sample more: without
    it, a head that makes no mistake on few samples would be called certain (Platt 1999, section
    2.2).
    """
    count, classes = logits.shape
    scores = log_softmax(logits / math.exp(log_temperature), axis=1)
    little = 1 / (count + classes)
    rest = 1 - little * classes
    found: Doubles = -rest * scores[np.arange(count), targets] - little * scores.sum(axis=1)
    return found


def to_scores(outputs: Floats, temperature: float) -> Floats:
    """Probabilities that sum to 1; see TaskModel."""
    scores: Floats = softmax(outputs / np.float32(temperature), axis=1)
    return scores


def choose_thresholds(*_: object) -> tuple[float, ...]:
    """None: a sample shows the class of its best score; see TaskModel."""
    return ()


def join(extractor: nn.Layer, head: Head, temperature: float) -> Network:
    """Build the whole network for inference; see TaskModel."""
    return join_layers(extractor, head, temperature, "Softmax")


def append_head(backbone: onnx.ModelProto, head: Head, temperature: float) -> onnx.ModelProto:
    """Append a head and Softmax to a backbone [n, 3, size, size] → [n, d]."""
    return append_nodes(backbone, head, temperature, "Softmax")
