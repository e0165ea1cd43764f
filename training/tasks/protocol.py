"""What a task type must offer; a task type is a folder here, named in the spec."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import onnx
import paddle

from serving.bundle.manifest import Task
from serving.job.search import Recipe
from training.spec import TrainSpec

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
# Of each sample its class's place [n], or 0 or 1 for every class [n, k].
Targets = Integers | Floats
Arrays = dict[str, npt.NDArray[np.float32]]
# Places of some samples → each place with the sample's raw bytes, in any order.
ReadContents = Callable[[Sequence[int]], Iterator[tuple[int, bytes]]]


@dataclass(frozen=True)
class Samples:
    """What training may see, in the order of their hashes: the train and the val side, [n] each.

    The test side is never read. strata: the place of one class each, by which samples count as
    alike where they are dealt out. groups: equal for near-duplicates. weights: factor of a sample's
    loss; repeats: how often an epoch meets it, at least once; both 1 on the val side.
    """

    sha256: tuple[str, ...]
    targets: Targets
    strata: Integers
    val: npt.NDArray[np.bool_]
    groups: Integers
    weights: Floats
    repeats: Integers

    def __len__(self) -> int:
        return len(self.sha256)


@dataclass(frozen=True)
class Scaling:
    """Of features: their mean [d], and the mean of their standard deviations."""

    mean: npt.NDArray[np.float64]
    deviation: float

    @classmethod
    def leave(cls, width: int) -> "Scaling":
        """Of features that are scaled already."""
        return cls(np.zeros(width), 1.0)

    @property
    def changes(self) -> bool:
        """Whether scaled features are others."""
        return self.deviation != 1 or bool(self.mean.any())


@dataclass(frozen=True)
class Measured:
    """How well outputs [n, classes] fit n targets.

    loss: mean loss once the outputs are divided by the temperature, which is the one that makes
    it smallest (Guo et al. 2017, section 4.2). error: its standard error. accuracy: share of the
    samples that all is right of. parts: losses of the samples, or of equal parts of them, in their
    order.
    """

    loss: float
    error: float
    accuracy: float
    temperature: float
    parts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Probe:
    """Raw bytes of validation samples, to compare exported networks on."""

    contents: tuple[bytes, ...]


class TaskData(Protocol):
    """data.py of a task type."""

    def read_samples(self, spec: TrainSpec) -> Samples:
        """Read the snapshot's train and val side; UserError where they cannot be trained on."""

    def read_probe(self, spec: TrainSpec) -> Probe:
        """Read a few validation samples as they were imported."""

    def read_contents(
        self, spec: TrainSpec, sha256: Sequence[str], places: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:
        """See ReadContents; sha256: of every sample, by its place."""


class TaskModel(Protocol):
    """model.py of a task type. TASK: as a bundle's manifest calls it."""

    TASK: Task

    def make_head(
        self, recipe: Recipe, scaling: Scaling, classes: int, copies: int, seed: int
    ) -> paddle.nn.Layer:
        """Build the trainable part, features [copies, n, d] → outputs [copies, n, classes].

        The copies are alike and independent: each may be trained on other samples. With no copies,
        0, it is [n, d] → [n, classes].
        """

    def place_classes(
        self,
        head: paddle.nn.Layer,
        weights: Arrays,
        known: tuple[str, ...],
        classes: tuple[str, ...],
    ) -> Arrays:
        """Weights of a head for `classes`: those of a head for `known` where it has them.

        head: of the same recipe, for `classes`; new classes keep what it has.
        """

    def find_losses(
        self, outputs: paddle.Tensor, targets: paddle.Tensor, recipe: Recipe
    ) -> paddle.Tensor:
        """Losses that training lowers: outputs […, n, classes], targets of n samples → […, n]."""

    def measure(self, outputs: Floats, targets: Targets) -> Measured:
        """Judge outputs [n, classes] for samples that were not learned from."""

    def to_scores(self, outputs: Floats, temperature: float) -> Floats:
        """What the whole network would answer for outputs [n, classes]."""

    def choose_thresholds(
        self, scores: Floats, targets: Targets, min_precision: float
    ) -> tuple[float, ...]:
        """From which score on a sample is said to show a class, of each; none where it has one.

        scores: [n, classes], of samples that were not learned from, or of none. min_precision: what
        each class's is chosen for; 0: for the best F1.
        """

    def join(
        self, extractor: paddle.nn.Layer, head: paddle.nn.Layer, temperature: float
    ) -> paddle.nn.Layer:
        """Build the whole network for inference, pictures → class scores."""

    def append_head(
        self, backbone: onnx.ModelProto, head: paddle.nn.Layer, temperature: float
    ) -> onnx.ModelProto:
        """The same network as ONNX."""


def load_task(name: str) -> tuple[TaskData, TaskModel]:
    """Import a task type's two modules by the folder's name."""
    return (
        cast(TaskData, importlib.import_module(f"training.tasks.{name}.data")),
        cast(TaskModel, importlib.import_module(f"training.tasks.{name}.model")),
    )
