"""Networks that have learned nothing yet: random weights, as a file like any other."""

import math

import numpy as np
from safetensors.numpy import save

from serving.job.inputs import NetworkName
from training.backbones.vision import NETWORKS
from training.backbones.weights import Array


def draw_weights(network: NetworkName, seed: int) -> bytes:
    """A safetensors file with the network's tensors, without its classifier, drawn by a seed."""
    chance = np.random.default_rng(seed)
    state = NETWORKS[network].make_body().state_dict()
    return save({name: _draw(name, tuple(one.shape), chance) for name, one in state.items()})


def _draw(name: str, shape: tuple[int, ...], chance: np.random.Generator) -> Array:
    """What is multiplied keeps the size of what comes in (He et al. 2015, section 2.2).

    Paddle's own weights of MobileNets let it vanish before norms have learned anything. Norms
    change nothing, and biases add nothing.
    """
    if len(shape) > 1:
        # A convolution's weight is [out, in / groups, k, k].
        deviation = math.sqrt(2 / math.prod(shape[1:]))
        return chance.normal(0, deviation, shape).astype(np.float32)
    ones = name.endswith((".weight", "._variance"))
    return np.full(shape, float(ones), np.float32)
