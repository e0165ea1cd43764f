"""What a network can be given: a pretrained backbone, and how pictures are fitted to it."""

from typing import Literal

from pydantic import Field

from serving.bundle.manifest import Preprocessing
from serving.job.spec import Spec

# Of paddle.vision.models: those that training/backbones builds around weights that a user gives.
NetworkName = Literal[
    "mobilenet-v2",
    "mobilenet-v3-small",
    "mobilenet-v3-large",
    "squeezenet-1-0",
    "squeezenet-1-1",
    "resnet18",
    "resnet50",
]


class GivenWeights(Spec):
    """A weight file that a user brought. sha256: of the file, which is kept as it was given.

    untrained: its numbers are random: the network has learned nothing yet.
    """

    network: NetworkName
    uri: str
    sha256: str
    # Left out where it is not so: hashes made before it existed still hold.
    untrained: bool = Field(default=False, exclude_if=lambda value: not value)


class BackboneFile(Spec):
    """A pretrained network's feature extractor as one ONNX file.

    features: length of its vector. file_bytes: of the ONNX file. latency_ms: median of one
    picture on one core of this machine's CPU, without decoding. weights: None for the networks
    that ship.
    """

    name: str
    onnx_uri: str
    sha256: str
    licence: str
    features: int
    file_bytes: int
    latency_ms: float
    # Left out of JSON where there are none: hashes made before it existed still hold.
    weights: GivenWeights | None = Field(default=None, exclude_if=lambda weights: weights is None)


class Input(Spec):
    """One backbone with one way to fit pictures to it: what the model search chooses among."""

    backbone: BackboneFile
    preprocessing: Preprocessing

    @property
    def name(self) -> str:
        """Short and unique within a run."""
        return f"{self.backbone.name} {self.preprocessing.resize}"


class InputFeatures(Input):
    """features_uri: folder of Parquet files (sha256, vector) made with this input."""

    features_uri: str
