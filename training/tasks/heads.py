"""Classifiers on a backbone's features, alone or as several copies that are trained side by side.

Every parameter has the copies as its first axis (none where copies is 0), so that one matrix
product trains all of them; weights are drawn by NumPy, so that a seed means the same anywhere.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn

from serving.job.search import Recipe
from training.tasks.layers import Dense, Doubles, Layers, Normalize, Rectify, Shift
from training.tasks.protocol import Arrays, Scaling

# Cosines lie between -1 and 1: without a factor the scores of many classes are all but equal.
FIRST_COSINE_SCALE = 16.0


class Head(nn.Layer):
    """Subtract the mean, divide by the deviation; what follows is the kind's.

    per_class: names of the parameters whose last axis is the classes.
    """

    per_class: tuple[str, ...] = ()

    def __init__(self, recipe: Recipe, scaling: Scaling, copies: int, seed: int) -> None:
        super().__init__()
        self.recipe, self.scaling = recipe, scaling
        self._copies = (copies,) if copies else ()
        self._changes = scaling.changes
        self._chance = np.random.default_rng([seed, 1])
        self._shift = paddle.to_tensor(scaling.mean.astype(np.float32).reshape(1, -1))

    def scale(self, features: paddle.Tensor) -> paddle.Tensor:
        """[…, n, d] → the same, about as far from 0 as 1."""
        if not self._changes:
            return features
        scaled: paddle.Tensor = (features - self._shift) * (1 / self.scaling.deviation)
        return scaled

    def combine(
        self, features: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor
    ) -> paddle.Tensor:
        """A linear layer on scaled features […, n, d] → […, n, k].

        It is the weights that are scaled: they are fewer than the features of a batch.
        """
        if not self._changes:
            plain: paddle.Tensor = features @ weight + bias
            return plain
        folded = weight * (1 / self.scaling.deviation)
        combined: paddle.Tensor = features @ folded + (bias - self._shift @ folded)
        return combined

    def add_weight(self, rows: int, columns: int, deviation: float) -> paddle.Tensor:
        """A matrix [copies, rows, columns], the same for every copy; 0 where deviation is."""
        values = self._chance.normal(0, deviation, (rows, columns)).astype(np.float32)
        return self._add(np.broadcast_to(values, (*self._copies, rows, columns)))

    def add_bias(self, columns: int) -> paddle.Tensor:
        """Zeros [copies, 1, columns]."""
        return self._add(np.zeros((*self._copies, 1, columns), np.float32))

    def _add(self, values: npt.NDArray[np.float32]) -> paddle.Tensor:
        parameter: paddle.Tensor = self.create_parameter(
            list(values.shape), default_initializer=nn.initializer.Constant(0.0)
        )
        # An initializer would turn each number into an object of Python's.
        parameter.set_value(np.ascontiguousarray(values))
        return parameter

    def freeze(self) -> Layers:
        """What a head without copies computes, on raw features."""
        raise NotImplementedError

    def unscale(self, weight: paddle.Tensor, bias: paddle.Tensor) -> Dense:
        """One linear layer on raw features for one on scaled ones."""
        folded = _doubles(weight) / self.scaling.deviation
        return Dense(folded, _doubles(bias).reshape(-1) - self.scaling.mean @ folded)


class Linear(Head):
    """One linear layer. It starts at zero: the problem is convex, so no seed is needed."""

    per_class = ("weight", "bias")

    def __init__(
        self, recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int
    ) -> None:
        super().__init__(recipe, scaling, copies, seed)
        self.weight = self.add_weight(scaling.mean.size, classes, 0.0)
        self.bias = self.add_bias(classes)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """See TaskModel.make_head."""
        return self.combine(features, self.weight, self.bias)

    def freeze(self) -> Layers:
        """See Head."""
        return Layers((), self.unscale(self.weight, self.bias))


class Cosine(Head):
    """Cosines between the centred features and one direction a class, times a learned factor.

    Gidaris & Komodakis 2018, section 3.2.
    """

    per_class: tuple[str, ...] = ("weight",)

    def __init__(
        self, recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int
    ) -> None:
        super().__init__(recipe, scaling, copies, seed)
        features = scaling.mean.size
        self.weight = self.add_weight(features, classes, features**-0.5)
        # Of one's size, so that the optimizer's steps suit it as they suit the other parameters.
        self.gain = self._add(np.ones((*self._copies, 1, 1), np.float32))

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """See TaskModel.make_head."""
        directions = nn.functional.normalize(self.weight, axis=-2)
        cosines = nn.functional.normalize(self.scale(features), axis=-1) @ directions
        outputs: paddle.Tensor = cosines * (self.gain * FIRST_COSINE_SCALE)
        return outputs

    def freeze(self) -> Layers:
        """See Head."""
        weight = _doubles(self.weight)
        directions = weight / np.linalg.norm(weight, axis=0)
        factor = float(_doubles(self.gain)[0, 0]) * FIRST_COSINE_SCALE
        output = Dense(directions * factor, np.zeros(weight.shape[1]))
        return Layers((Shift(-self.scaling.mean), Normalize()), output)


class CosineWithBias(Cosine):
    """The same and a bias a class: how common it is, where each class is a yes or no of its own."""

    per_class = ("weight", "bias")

    def __init__(
        self, recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int
    ) -> None:
        super().__init__(recipe, scaling, classes, copies, seed)
        self.bias = self.add_bias(classes)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """See TaskModel.make_head."""
        outputs: paddle.Tensor = super().forward(features) + self.bias
        return outputs

    def freeze(self) -> Layers:
        """See Head."""
        layers = super().freeze()
        return replace(layers, output=replace(layers.output, bias=_doubles(self.bias).reshape(-1)))


class Perceptron(Head):
    """One hidden layer of rectified units, with dropout while it learns."""

    per_class = ("output_weight", "output_bias")

    def __init__(
        self, recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int
    ) -> None:
        super().__init__(recipe, scaling, copies, seed)
        features = scaling.mean.size
        # He et al. 2015, equation 10.
        self.weight = self.add_weight(features, recipe.hidden, (2 / features) ** 0.5)
        self.bias = self.add_bias(recipe.hidden)
        self.output_weight = self.add_weight(recipe.hidden, classes, 0.0)
        self.output_bias = self.add_bias(classes)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """See TaskModel.make_head."""
        hidden = nn.functional.relu(self.combine(features, self.weight, self.bias))
        hidden = self.dropout(hidden)
        outputs: paddle.Tensor = hidden @ self.output_weight + self.output_bias
        return outputs

    def freeze(self) -> Layers:
        """See Head."""
        output = Dense(_doubles(self.output_weight), _doubles(self.output_bias).reshape(-1))
        return Layers((self.unscale(self.weight, self.bias), Rectify()), output)


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


def _doubles(tensor: paddle.Tensor) -> Doubles:
    return np.asarray(tensor.numpy(), np.float64)
