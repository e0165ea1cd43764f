import numpy as np
import paddle
import pytest

from serving.job.search import Recipe
from tests.training.tasks.pooling import SCALING
from training.search.fold_fit import scale_all
from training.tasks.heads import Cosine, CosineWithBias, Linear, Perceptron
from training.tasks.protocol import Scaling

Kind = type[Linear | Cosine | Perceptron]


@pytest.mark.parametrize("kind", [Linear, Cosine, CosineWithBias, Perceptron])
def test_copies_are_alike_and_as_one_alone(kind: Kind) -> None:
    recipe = Recipe(input="", hidden=5)
    features = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    alone, three = (kind(recipe, SCALING, 4, copies, 7) for copies in (0, 3))
    alone.eval()
    three.eval()
    with paddle.no_grad():
        expected = alone(paddle.to_tensor(features)).numpy()
        found = three(paddle.to_tensor(np.stack([features] * 3))).numpy()
    for copy in found:
        np.testing.assert_allclose(copy, expected, atol=1e-6)


@pytest.mark.parametrize("kind", [Linear, Cosine, CosineWithBias, Perceptron])
def test_features_scaled_once_give_the_same_outputs(kind: Kind) -> None:
    recipe = Recipe(input="", hidden=5)
    features = np.random.default_rng(3).normal(size=(7, 3)).astype(np.float32)
    raw = kind(recipe, SCALING, 4, 0, 7)
    scaled = kind(recipe, Scaling.leave(3), 4, 0, 7)
    for head in (raw, scaled):
        head.eval()
        for parameter in head.parameters():
            parameter.set_value(np.full(parameter.shape, 0.3, np.float32))
    with paddle.no_grad():
        expected = raw(paddle.to_tensor(features)).numpy()
        found = scaled(scale_all(features, SCALING)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
