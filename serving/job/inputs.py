"""What a network can be given: a pretrained backbone, and how pictures are fitted to it."""

from serving.bundle.manifest import Preprocessing
from serving.job.spec import Spec


class BackboneFile(Spec):
    """A pretrained network's feature extractor as one ONNX file.

    features: length of its vector. file_bytes: of the ONNX file. latency_ms: median of one
    picture on one core of this machine's CPU, without decoding.
    """

    name: str
    onnx_uri: str
    sha256: str
    licence: str
    features: int
    file_bytes: int
    latency_ms: float


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
