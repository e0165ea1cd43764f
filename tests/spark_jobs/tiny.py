"""Tiny pictures, a tiny backbone and a tiny bundle: real formats, real networks."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from serving.bundle.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    SEVERAL,
    Lineage,
    Manifest,
    Preprocessing,
)
from serving.job.inputs import BackboneFile

SIZE = 32
FEATURES = 8
PREPROCESSING = Preprocessing(size=SIZE)
# Red, green and blue pictures; names that break what does not escape them.
CLASSES = ("<b>bold", "a space", "键盘")


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def make_picture(channel: int, seed: int, kind: str = "PNG") -> bytes:
    """Noise with one bright channel."""
    pixels = np.random.default_rng([channel, seed]).integers(0, 90, (40, 48, 3), np.uint8)
    pixels[..., channel] += 150
    return encode(Image.fromarray(pixels), kind)


def write_tree(
    folder: Path, per_class: int, classes: tuple[str, ...] = CLASSES, start: int = 0
) -> None:
    for channel, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in range(start, start + per_class):
            (folder / name / f"{seed:03}.png").write_bytes(make_picture(channel, seed))


def _save(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], width: int) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        weights,
    )
    opset = [helper.make_opsetid("", 13)]
    content: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return content


def _channel_means() -> list[onnx.NodeProto]:
    return [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
    ]


def write_backbone(folder: Path, name: str = "tiny", seed: int = 0) -> BackboneFile:
    """[n, 3, 32, 32] → [n, 8]: the channels' means, mixed as the seed says."""
    mix = np.random.default_rng(seed).normal(size=(3, FEATURES)).astype(np.float32)
    nodes = [*_channel_means(), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    content = _save(nodes, [numpy_helper.from_array(mix, "w")], FEATURES)
    path = folder / f"{name}.onnx"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return BackboneFile(
        name=name,
        onnx_uri=path.as_uri(),
        sha256=digest,
        licence="Apache-2.0",
        features=FEATURES,
        file_bytes=len(content),
        latency_ms=0.1,
    )


def write_bundle(folder: Path, classes: tuple[str, ...] = CLASSES, logit_scale: float = 4) -> Path:
    """[n, 3, 32, 32] → probabilities: the brightest channel wins."""
    weights = (logit_scale * np.eye(3)[:, : len(classes)]).astype(np.float32)
    last = helper.make_node("Softmax", ["logits"], ["y"], axis=1)
    return _write_bundle(folder, classes, weights, last, {})


def write_several(folder: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """[n, 3, 32, 32] → scores of several labels: the first class is what is red, the second what is
    not blue, the third what is blue.
    """
    weights = 4 * np.array([[1, 0, 0], [0, 0, 0], [0, -1, 1]], np.float32)[:, : len(classes)]
    last = helper.make_node("Sigmoid", ["logits"], ["y"])
    thresholds = (0.5,) * len(classes)
    several = {"task": SEVERAL, "thresholds": thresholds}
    return _write_bundle(folder, classes, weights, last, several)


def _write_bundle(
    folder: Path,
    classes: tuple[str, ...],
    weights: npt.NDArray[np.float32],
    last: onnx.NodeProto,
    fields: dict[str, Any],
) -> Path:
    product = helper.make_node("MatMul", ["flat", "w"], ["logits"])
    nodes = [*_channel_means(), product, last]
    folder.mkdir(parents=True)
    content = _save(nodes, [numpy_helper.from_array(weights, "w")], len(classes))
    (folder / MODEL_FILE).write_bytes(content)
    lineage = Lineage(
        dataset="tiny",
        snapshot_id="0" * 20,
        run_id="20260102T030405-abcdef",
        code_version="test",
        backbone="tiny",
        backbone_sha256="0" * 64,
        weights_licence="Apache-2.0",
        created_at="2026-01-02T03:04:05Z",
    )
    manifest = Manifest(classes=classes, preprocessing=PREPROCESSING, lineage=lineage, **fields)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder
