"""What one picture costs in a network, counted by ourselves: paddle.flops fails with numpy 2."""

from typing import Any

import numpy as np
import paddle
from paddle import nn


def count_parameters(network: nn.Layer) -> int:
    """Trainable numbers."""
    return sum(int(np.prod(p.shape)) for p in network.parameters())


def count_flops(network: nn.Layer, size: int) -> int:
    """Multiply-adds of the convolutions and linear layers for one picture [3, size, size].

    A multiply-add counts once, as in the papers' tables. Norms and activations count nothing, for
    an inference engine folds them into the convolutions: TensorFlow's profiler, from which the
    published figures of EfficientNet-Lite come, counts them and arrives at 5 % more.
    """
    counted: list[int] = []

    def count(layer: nn.Layer, _: Any, outputs: paddle.Tensor) -> paddle.Tensor:
        # A convolution's weight is [out, in / groups, k, k], a linear one's [in, out]: per output
        # value, all of it but the outputs' own dimension.
        weight = layer.weight.shape
        each = np.prod(weight[1:]) if isinstance(layer, nn.Conv2D) else weight[0]
        counted.append(int(np.prod(outputs.shape) * each))
        return outputs

    layers = [one for one in network.sublayers() if isinstance(one, nn.Conv2D | nn.Linear)]
    hooks = [layer.register_forward_post_hook(count) for layer in layers]
    training = network.training
    network.eval()
    try:
        with paddle.no_grad():
            network(paddle.zeros([1, 3, size, size]))
    finally:
        for hook in hooks:
            hook.remove()
        if training:
            network.train()
    return sum(counted)
