"""Convolutions of small maps as matrix products: on a CPU, Paddle trains these twice as fast.

Maps are [channels, n, height × width] throughout, so that nothing is moved between layers. Norms
keep the statistics that they have, and are multiplied into the weights before them.
"""

from functools import lru_cache
from typing import cast

import numpy as np
import paddle

from training.backbones.efficientnet_lite import ConvNorm, InvertedResidual
from training.tasks.protocol import Floats


def to_columns(maps: paddle.Tensor) -> paddle.Tensor:
    """[n, c, h, w] → [c, n, h × w]."""
    columns: paddle.Tensor = maps.flatten(2).transpose([1, 0, 2])
    return columns


def run_block(block: InvertedResidual, columns: paddle.Tensor, side: int) -> paddle.Tensor:
    """Compute a block of stride 1 on maps of side × side."""
    inside = columns
    if isinstance(block.expand, ConvNorm):
        inside = run_pointwise(block.expand, columns)
    outputs = run_pointwise(block.project, _run_depthwise(block.depthwise, inside, side))
    return outputs + columns if block.residual else outputs


def run_pointwise(layer: ConvNorm, columns: paddle.Tensor) -> paddle.Tensor:
    """Compute a convolution of single pixels."""
    scale, shift = _find_affine(layer)
    weights = layer.conv.weight.flatten(1) * scale
    outputs = layer.activation(weights @ columns.flatten(1) + shift)
    shaped: paddle.Tensor = outputs.reshape([-1, *columns.shape[1:]])
    return shaped


def _run_depthwise(layer: ConvNorm, columns: paddle.Tensor, side: int) -> paddle.Tensor:
    """Each channel's filter is a matrix over the pixels of its map."""
    scale, shift = _find_affine(layer)
    kernel, pixels = layer.conv.weight.shape[-1], side * side
    filters = layer.conv.weight.reshape([-1, kernel * kernel]) * scale
    spread = paddle.to_tensor(_spread_filters(kernel, side))
    matrices = (filters @ spread).reshape([-1, pixels, pixels])
    outputs: paddle.Tensor = layer.activation(paddle.bmm(columns, matrices) + shift.unsqueeze(-1))
    return outputs


def _find_affine(layer: ConvNorm) -> tuple[paddle.Tensor, paddle.Tensor]:
    """A norm as a factor and a summand, [channels, 1] each."""
    norm = layer.norm
    gain, bias = cast(tuple[paddle.Tensor, paddle.Tensor], (norm.weight, norm.bias))
    scale = gain / paddle.sqrt(norm._variance + norm._epsilon)
    return scale.unsqueeze(-1), (bias - norm._mean * scale).unsqueeze(-1)


@lru_cache
def _spread_filters(kernel: int, side: int) -> Floats:
    """Where each number of a filter stands in its matrix, [kernel², side² × side²]."""
    spread = np.zeros((kernel, kernel, side, side, side, side), np.float32)
    for row, column, y, x in np.ndindex(kernel, kernel, side, side):
        down, right = y + row - kernel // 2, x + column - kernel // 2
        if 0 <= down < side and 0 <= right < side:
            spread[row, column, down, right, y, x] = 1
    return spread.reshape(kernel * kernel, -1)
