"""Run a bundle's ONNX network: in Spark executors and in the server alike."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from serving.bundle import codec
from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE, SCHEMA_VERSION, Manifest
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint, hash_model

# ONNX external data always names its file under this key (StringStringEntryProto, field 1).
EXTERNAL_DATA = b"\x0a\x08location"


def import_onnxruntime() -> Any:
    """onnxruntime, with its telemetry off.

    From 1.29 on, its Linux wheels send events to Microsoft unless this variable is set before
    the first import.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


class BadBundleError(ValueError):
    """The folder is no bundle that this version can serve; the text says why."""


class OnnxNetwork:
    """One ONNX file with one input [n, 3, size, size] and one output [n, k], both float32."""

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # From bytes, never from a path: a file's external data would be read from beside it.
        content = model if isinstance(model, bytes) else model.read_bytes()
        if EXTERNAL_DATA in content:
            raise BadBundleError("the ONNX network keeps data in other files, which is refused")
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
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadBundleError(f"{path} is no JSON: {error}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise BadBundleError(
            f"bundle schema version {version!r} is unknown: this modelmill reads {SCHEMA_VERSION}"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise BadBundleError(f"{path} is no manifest: {error}") from None


def read_operating_point(folder: Path) -> OperatingPoint | None:
    """None where the bundle has none; raises BadBundleError where it is another network's."""
    path = folder / OPERATING_POINT_FILE
    if not path.is_file():
        return None
    try:
        point = OperatingPoint.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadBundleError(f"{path} is no operating point: {error}") from None
    own = hash_model((folder / MODEL_FILE).read_bytes())
    if point.model_sha256 != own:
        raise BadBundleError(
            f"{path} was chosen for the network {point.model_sha256[:12]}, but this is {own[:12]}"
        )
    return point


class Predictor:
    """A loaded bundle. operating_point: None where no evaluation could choose one."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.manifest = read_manifest(folder)
        if not (folder / MODEL_FILE).is_file():
            raise BadBundleError(f"{folder} holds no {MODEL_FILE}")
        self.operating_point = read_operating_point(folder)
        self._network = OnnxNetwork(folder / MODEL_FILE, threads)

    def prepare(self, data: bytes) -> codec.Pixels:
        """Bytes of one picture → [size, size, 3]; raises codec.BadImageError."""
        return codec.prepare(data, self.manifest.preprocessing)

    def prepare_rows(self, pictures: list[codec.Pixels]) -> codec.Batch:
        """Prepared pictures → the network's input, [n, 3, size, size]."""
        return codec.to_batch(pictures, self.manifest.preprocessing)

    def run(self, rows: codec.Batch) -> npt.NDArray[np.float32]:
        """[n, 3, size, size] → probabilities [n, classes].

        Each row sums to 1; where a picture may have several labels, each is one of its own.
        """
        return self._network.run(rows)

    def score(self, pictures: list[codec.Pixels]) -> npt.NDArray[np.float32]:
        """Prepared pictures → probabilities, as run."""
        return self.run(self.prepare_rows(pictures))


def find_threshold(predictor: Predictor) -> float:
    """The best score below which the bundle declines a picture; 0: it declines none."""
    point = predictor.operating_point
    return point.decline_below if point is not None else 0.0
