"""Classification: heads on features, their losses, and the network that is served."""

import math

import numpy as np
import onnx
import paddle
from onnx import TensorProto, helper
from paddle import nn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from serving.job.search import Recipe
from training.tasks.classification.heads import KINDS, Head
from training.tasks.classification.layers import Doubles, Layers, append_layers, to_paddle
from training.tasks.protocol import Arrays, Floats, Integers, Measured, Scaling

SCORES = "scores"
LOGITS = "logits"
# Temperatures are looked for between 1/20 and 20.
LARGEST_TEMPERATURE = 20.0
TEMPERATURE_PRECISION = 1e-2
# One number needs no more samples to be found.
MOST_FOR_TEMPERATURE = 5_000


class Network(nn.Layer):
    """Pictures → class scores."""

    def __init__(self, extractor: nn.Layer, layers: Layers) -> None:
        super().__init__()
        self.extractor = extractor
        self.head = to_paddle(layers)

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """[n, 3, size, size] → probabilities [n, classes]."""
        return nn.functional.softmax(self.head(self.extractor(pictures)))


def make_head(recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int) -> Head:
    """Build the head that the recipe names; see TaskModel."""
    return KINDS[recipe.head](recipe, scaling, classes, copies, seed)


def place_classes(
    head: Head, weights: Arrays, known: tuple[str, ...], classes: tuple[str, ...]
) -> Arrays:
    """Weights of a head for some classes from those of another; see TaskModel."""
    places = {name: place for place, name in enumerate(known)}
    both = [(place, places[name]) for place, name in enumerate(classes) if name in places]
    new, old = [list(column) for column in zip(*both, strict=True)] if both else ([], [])
    placed = {}
    for name, value in head.state_dict().items():
        placed[name] = weights[name]
        if name in head.per_class:
            placed[name] = value.numpy().copy()
            placed[name][..., new] = weights[name][..., old]
    return placed


def find_losses(outputs: paddle.Tensor, targets: paddle.Tensor, recipe: Recipe) -> paddle.Tensor:
    """Cross-entropy against smoothed labels (Szegedy et al. 2016, section 7), […, n]."""
    log_scores = nn.functional.log_softmax(outputs, axis=-1)
    picked = paddle.take_along_axis(log_scores, targets.unsqueeze(-1), axis=-1).squeeze(-1)
    return -(1 - recipe.smoothing) * picked - recipe.smoothing * log_scores.mean(axis=-1)


def measure(outputs: Floats, targets: Integers) -> Measured:
    """Cross-entropy at the best temperature, and accuracy; see TaskModel."""
    logits = outputs.astype(np.float64)
    if not np.isfinite(logits).all():
        return Measured(math.inf, math.inf, 0.0, 1.0)
    step = max(1, len(targets) // MOST_FOR_TEMPERATURE)
    bound = math.log(LARGEST_TEMPERATURE)
    best = minimize_scalar(
        lambda value: float(_losses(logits[::step], targets[::step], value).mean()),
        bounds=(-bound, bound),
        method="bounded",
        options={"xatol": TEMPERATURE_PRECISION},
    ).x
    found = _losses(logits, targets, best)
    return Measured(
        loss=float(found.mean()),
        error=float(found.std() / math.sqrt(len(found))),
        accuracy=float((logits.argmax(axis=1) == targets).mean()),
        temperature=math.exp(best),
    )


def _losses(logits: Doubles, targets: Integers, log_temperature: float) -> Doubles:
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
    """Probabilities; see TaskModel."""
    scores: Floats = softmax(outputs / np.float32(temperature), axis=1)
    return scores


def join(extractor: nn.Layer, head: Head, temperature: float) -> Network:
    """Build the whole network for inference."""
    network = Network(extractor, head.freeze().cool(temperature))
    network.eval()
    return network


def append_head(backbone: onnx.ModelProto, head: Head, temperature: float) -> onnx.ModelProto:
    """Append a head and Softmax to a backbone [n, 3, size, size] → [n, d]."""
    layers = head.freeze().cool(temperature)
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    append_layers(graph, layers, LOGITS)
    graph.node.append(helper.make_node("Softmax", [LOGITS], [SCORES], axis=1))
    del graph.output[:]
    classes = layers.output.bias.size
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["n", classes]))
    onnx.checker.check_model(model)
    return model
