import paddle
import pytest
from paddle import nn

from serving.job.search import Recipe
from training.optimizer import find_share, make_optimizer


class Network(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.tail = nn.Sequential(("conv", nn.Linear(2, 2)), ("norm", nn.BatchNorm1D(2)))
        self.head = nn.Linear(2, 2)


def test_matrices_are_pulled_towards_zero_and_gains_are_not() -> None:
    network = Network()
    for one in network.parameters():
        one.set_value(paddle.ones(one.shape))
    recipe = Recipe(input="", learning_rate=0.1, weight_decay=0.5)
    optimizer = make_optimizer(network, recipe)
    # Gradients of 0: nothing but the decay moves them.
    total = paddle.zeros([])
    for one in network.parameters():
        total = total + (0 * one).sum()
    total.backward()
    optimizer.step()
    now = {name: float(one.numpy().ravel()[0]) for name, one in network.named_parameters()}
    assert now["head.weight"] == pytest.approx(1 - 0.1 * 0.5)
    assert now["tail.conv.weight"] == pytest.approx(1 - 0.1 * 0.5)
    assert (now["head.bias"], now["tail.norm.weight"], now["tail.norm.bias"]) == (1, 1, 1)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    shares = [find_share(step / 4, 8) for step in range(1, 33)]
    assert shares[0] == pytest.approx(0.25, rel=0.01)
    assert max(shares) == shares[3] == pytest.approx(1, rel=0.05)
    assert shares[3:] == sorted(shares[3:], reverse=True)
    assert shares[-1] == pytest.approx(0)
    assert find_share(100, 0) == 1
