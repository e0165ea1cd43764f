"""Run a bundle's ONNX network: in Spark executors and in the server alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from serving.bundle import codec
from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE, SCHEMA_VERSION, Manifest


class BadBundleError(ValueError):
    """The folder is no bundle that this version can serve; the text says why."""


class OnnxNetwork:
    """One ONNX file with one input [n, 3, size, size] and one output [n, k], both float32."""

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # From bytes, never from a path: a file's external data would be read from beside it.
        content = model if isinstance(model, bytes) else model.read_bytes()
        try:
            self._session = ort.InferenceSession(
                content, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own, undocumented classes
            raise BadBundleError(f"the ONNX network cannot be loaded: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def run(self, batch: codec.Batch) -> npt.NDArray[np.float32]:
        """[n, 3, size, size] → [n, k]."""
        result: Any = self._session.run([self._output], {self._input: batch})[0]
        return np.asarray(result, dtype=np.float32)


def read_manifest(folder: Path) -> Manifest:
    """Read and check manifest.json; raises BadBundleError."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise BadBundleError(f"{folder} holds no {MANIFEST_FILE}")
    content = json.loads(path.read_bytes())
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BadBundleError(
            f"bundle schema version {version!r} is unknown: this modelmill reads {SCHEMA_VERSION}"
        )
    return Manifest.model_validate(content)


class Predictor:
    """A loaded bundle."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.manifest = read_manifest(folder)
        self._network = OnnxNetwork(folder / MODEL_FILE, threads)

    def prepare(self, data: bytes) -> codec.Pixels:
        """Bytes of one picture → [size, size, 3]; raises codec.BadImageError."""
        return codec.prepare(data, self.manifest.preprocessing)

    def score(self, pictures: list[codec.Pixels]) -> npt.NDArray[np.float32]:
        """Prepared pictures → probabilities [n, classes], each row summing to 1."""
        return self._network.run(codec.to_batch(pictures, self.manifest.preprocessing))
