"""What a task type must offer; a task type is a folder here, named in the spec."""

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import onnx
import paddle

from training.spec import TrainSpec


@dataclass(frozen=True)
class Examples:
    """Inputs [n, …] of the trainable part and their targets [n, …]; never empty."""

    inputs: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainExamples(Examples):
    """weights: factor of each one's loss. repeats: how often an epoch meets it, at least once."""

    weights: npt.NDArray[np.float32]
    repeats: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sides:
    """What training may see. The test side is never read."""

    train: TrainExamples
    val: Examples


@dataclass(frozen=True)
class Probe:
    """Raw bytes of validation samples, to compare exported networks on."""

    contents: tuple[bytes, ...]


class TaskData(Protocol):
    """data.py of a task type."""

    def read_sides(self, spec: TrainSpec) -> Sides:
        """Read the snapshot's train and val side; UserError where they cannot be trained on."""

    def read_probe(self, spec: TrainSpec) -> Probe:
        """Read a few validation samples as they were imported."""


class TaskModel(Protocol):
    """model.py of a task type."""

    def make_head(self, spec: TrainSpec, sides: Sides) -> paddle.nn.Layer:
        """Build the trainable part."""

    def train_losses(self, outputs: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """Loss of each sample that training lowers and early stopping watches, [n]."""

    def count_right(self, outputs: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """Number of right answers, a scalar."""

    def join(self, extractor: paddle.nn.Layer, head: paddle.nn.Layer) -> paddle.nn.Layer:
        """Build the whole network for inference, pictures → class scores."""

    def append_head(self, backbone: onnx.ModelProto, head: paddle.nn.Layer) -> onnx.ModelProto:
        """The same network as ONNX."""


def load_task(name: str) -> tuple[TaskData, TaskModel]:
    """Import a task type's two modules by the folder's name."""
    return (
        cast(TaskData, importlib.import_module(f"training.tasks.{name}.data")),
        cast(TaskModel, importlib.import_module(f"training.tasks.{name}.model")),
    )
