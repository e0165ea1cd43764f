"""Random weights that a network can be trained from."""

from typing import get_args

import numpy as np
import paddle
import pytest

from serving.job.inputs import NetworkName
from training.backbones.given_files import read_given_weights
from training.backbones.untrained import draw_weights
from training.backbones.vision import SIZE, build_extractor


@pytest.mark.parametrize("network", get_args(NetworkName))
def test_every_network_passes_on_what_it_sees(network: NetworkName) -> None:
    extractor = build_extractor(network, draw_weights(network, 0))
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 3, SIZE, SIZE)).astype(np.float32)
    with paddle.no_grad():
        features = extractor(paddle.to_tensor(noise)).numpy()
    # Neither vanished, as with Paddle's own weights of MobileNets (1e-8), nor grown out of bounds.
    assert 1e-2 < features.std() < 1e4
    assert features.std(axis=0).max() > 1e-2


def test_the_seed_decides_all_of_it() -> None:
    first, again, other = (draw_weights("mobilenet-v2", seed) for seed in (0, 0, 1))
    assert first == again
    one, two = read_given_weights(first), read_given_weights(other)
    assert one.keys() == two.keys()
    for name, array in one.items():
        if array.ndim > 1:
            assert not np.isclose(array, two[name]).all()
        else:
            expected = name.endswith((".weight", "._variance"))
            assert (array == expected).all(), name
            np.testing.assert_array_equal(array, two[name])
