"""Norms that keep their statistics, and what cards do, as far as a CPU can tell."""

import numpy as np
import paddle
import pytest
from paddle import nn

from serving.job.search import Recipe
from training.norms import keep_statistics, quiet_norms, synchronize
from training.optimizer import make_optimizer
from training.precision import Stepper


def make_network() -> nn.Sequential:
    """With statistics and gains that are none of those it begins with."""
    paddle.seed(0)
    network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4))
    norm = network[1]
    norm._mean.set_value(paddle.to_tensor(np.array([0.1, -0.2, 0.3, 0.0], np.float32)))
    norm._variance.set_value(paddle.to_tensor(np.array([0.5, 2.0, 1.0, 3.0], np.float32)))
    return network


def test_kept_statistics_in_training_and_its_gradients() -> None:
    network = make_network()
    keep_statistics(network)
    chance = np.random.default_rng(0)
    pictures = paddle.to_tensor(chance.normal(size=(5, 3, 6, 6)).astype(np.float32))
    factors = paddle.to_tensor(chance.normal(size=(5, 4, 4, 4)).astype(np.float32))
    network.train()
    with quiet_norms():
        outputs = network(pictures)
    (outputs * factors).sum().backward()
    norm, scale = network[1], 1 / np.sqrt(network[1]._variance.numpy() + network[1]._epsilon)
    np.testing.assert_array_equal(norm._mean.numpy(), np.array([0.1, -0.2, 0.3, 0.0], np.float32))
    network.eval()
    np.testing.assert_allclose(outputs.numpy(), network(pictures).numpy(), atol=1e-5)
    # A norm with fixed statistics is a factor and a summand: so are its gradients.
    inside = network[0](pictures).numpy()
    centred = (inside - norm._mean.numpy()[:, None, None]) * scale[:, None, None]
    weighed = (centred * factors.numpy()).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(norm.weight.grad.numpy(), weighed, rtol=1e-3)
    flat = (factors.numpy() * scale[:, None, None]).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(network[0].bias.grad.numpy(), flat, rtol=1e-3)


def test_synchronized_norms_have_the_same_weights_by_the_same_names() -> None:
    before = {name: one.numpy() for name, one in make_network().state_dict().items()}
    after = synchronize(make_network())
    assert [type(one) for one in after.sublayers()] == [nn.Conv2D, nn.SyncBatchNorm]
    assert {name: one.numpy().tolist() for name, one in after.state_dict().items()} == {
        name: one.tolist() for name, one in before.items()
    }


# Paddle says of both that they have no effect on a CPU.
@pytest.mark.filterwarnings("ignore:AmpScaler", "ignore:.*amp:UserWarning")
def test_a_scaled_loss_makes_the_same_step() -> None:
    def step(*, halves: bool) -> list[float]:
        network = nn.Linear(2, 1)
        network.weight.set_value(paddle.ones([2, 1]))
        optimizer = make_optimizer(network, Recipe(input="", learning_rate=0.1))
        stepper = Stepper(optimizer, halves=halves)
        with stepper.context():
            loss = network(paddle.to_tensor([[1.0, 2.0]])).sum()
        stepper.step(loss)
        assert network.weight.grad is None or not network.weight.grad.numpy().any()
        found: list[float] = network.weight.numpy().ravel().tolist()
        return found

    assert step(halves=True) == step(halves=False) != [1.0, 1.0]
