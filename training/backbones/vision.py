"""Networks of paddle.vision.models as feature extractors, with weights that a user brought."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import paddle
from paddle import nn
from paddle.vision import models

from serving.bundle.manifest import Preprocessing
from serving.job import store
from serving.job.errors import UserError
from serving.job.inputs import GivenWeights, NetworkName
from training.backbones.given_files import read_given_weights
from training.backbones.weights import Array, BadWeightsError

SIZE = 224
# What ImageNet's networks were trained with, over values of 0 to 1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
SHOWN = 3


@dataclass(frozen=True)
class VisionNetwork:
    """make: builds it, with its classifier unless num_classes is 0. classifier: that one's name."""

    make: Callable[..., nn.Layer]
    classifier: str

    def make_body(self) -> nn.Layer:
        """Pictures → vectors [n, d, 1, 1] or [n, d]."""
        body = self.make(num_classes=0)
        # SqueezeNet makes it all the same, and does not use it.
        if hasattr(body, self.classifier):
            delattr(body, self.classifier)
        return body


NETWORKS: dict[NetworkName, VisionNetwork] = {
    "mobilenet-v2": VisionNetwork(models.mobilenet_v2, "classifier"),
    "mobilenet-v3-small": VisionNetwork(models.mobilenet_v3_small, "classifier"),
    "mobilenet-v3-large": VisionNetwork(models.mobilenet_v3_large, "classifier"),
    "squeezenet-1-0": VisionNetwork(models.squeezenet1_0, "_conv9"),
    "squeezenet-1-1": VisionNetwork(models.squeezenet1_1, "_conv9"),
    "resnet18": VisionNetwork(models.resnet18, "fc"),
    "resnet50": VisionNetwork(models.resnet50, "fc"),
}


class VisionExtractor(nn.Layer):
    """Pictures → vectors, by a network that was trained on ImageNet's mean and deviation."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network
        given, spread = Preprocessing(), 255 * np.array(DEVIATION)
        # (v - 127) / 128 → (v / 255 - mean) / deviation. Exact: the network pads after it.
        shape = (1, 3, 1, 1)
        factor = (given.scale / spread).reshape(shape).astype(np.float32)
        shift = ((given.mean - 255 * np.array(MEAN)) / spread).reshape(shape).astype(np.float32)
        self.register_buffer("factor", paddle.to_tensor(factor), persistable=True)
        self.register_buffer("shift", paddle.to_tensor(shift), persistable=True)

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """[n, 3, 224, 224], each value (v - 127) / 128 → [n, d]."""
        features: paddle.Tensor = self.network(pictures * self.factor + self.shift)
        return features.flatten(1)


def load_given(given: GivenWeights) -> VisionExtractor:
    """Build the network in evaluation mode with weights that lie in our store; UserError."""
    return build_extractor(given.network, _read_weights(given.uri, given.sha256))


@functools.lru_cache(maxsize=1)
def _read_weights(uri: str, sha256: str) -> bytes:
    """Read once what every trial begins with; UserError where it is another file."""
    content = store.read_bytes(uri)
    check_sum(content, sha256, uri)
    return content


def check_sum(content: bytes, sha256: str, place: str) -> None:
    """Raises UserError where a file is not the one that was meant."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UserError(
            f"The weights at {place} have sha256 {found}, but {sha256} was given: get the file "
            "again, or correct the checksum."
        )


def build_extractor(network: NetworkName, content: bytes) -> VisionExtractor:
    """Build the network in evaluation mode from a weight file; UserError where it does not fit."""
    try:
        arrays = read_given_weights(content)
    except BadWeightsError as error:
        raise UserError(f"The weight file cannot be used: {error}.") from error
    known = NETWORKS[network]
    layer = known.make_body()
    wanted = cast(Mapping[str, paddle.Tensor], layer.state_dict())
    own = {name: one for name, one in arrays.items() if not name.startswith(f"{known.classifier}.")}
    check_fit(network, {name: tuple(one.shape) for name, one in wanted.items()}, own)
    layer.set_state_dict({name: paddle.to_tensor(own[name].astype(np.float32)) for name in wanted})
    extractor = VisionExtractor(layer)
    extractor.eval()
    return extractor


def check_fit(
    network: str, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, Array]
) -> None:
    """Raises UserError with the tensors that are missing, unknown, misshapen or not finite."""
    shared = [name for name in wanted if name in found]
    misshapen = [
        f"{name} {list(found[name].shape)} instead of {list(wanted[name])}"
        for name in shared
        if found[name].shape != wanted[name]
    ]
    problems = {
        "missing": [name for name in wanted if name not in found],
        "unknown": [name for name in found if name not in wanted],
        "of another shape": misshapen,
        "not finite": [name for name in shared if not np.isfinite(found[name]).all()],
    }
    told = "; ".join(f"{what}: {_shorten(names)}" for what, names in problems.items() if names)
    if told:
        raise UserError(
            f"The weights do not fit {network}: {told}. Give a state dict of this network as "
            f"paddle.vision.models names it, or another network: {', '.join(NETWORKS)}."
        )


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
