"""Norms that keep their statistics, and those that cards share."""

import numpy as np
import paddle
from paddle import nn

from training.norms import keep_statistics, quiet_norms, synchronize


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
