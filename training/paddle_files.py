"""Paddle's own inference files of a network."""

from dataclasses import dataclass
from pathlib import Path

import paddle

import training

STEM = "network"


@dataclass(frozen=True)
class PaddleFiles:
    """Names inside the folder: the graph (JSON) and the weights (Paddle's own binary)."""

    network: str = f"{STEM}.json"
    weights: str = f"{STEM}.pdiparams"


def save_network(network: paddle.nn.Layer, folder: Path, size: int) -> PaddleFiles:
    """Write a network that reads [n, 3, size, size] float32, any n, in evaluation mode."""
    network.eval()
    # No branch of these layers hangs on a tensor: rewriting their code, so that one could, would
    # take half of the time.
    paddle.jit.ignore_module([paddle.nn, training])
    pictures = paddle.static.InputSpec([None, 3, size, size], "float32", name="picture")
    paddle.jit.save(network, str(folder / STEM), input_spec=[pictures])
    return PaddleFiles()


def load_network(folder: Path) -> paddle.nn.Layer:
    """Load what save_network wrote, in evaluation mode."""
    network: paddle.nn.Layer = paddle.jit.load(str(folder / STEM))
    network.eval()
    return network
