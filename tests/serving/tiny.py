"""Tiny real bundles: a network of two weights that tells bright pictures from dark ones."""

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from serving.bundle.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    SEVERAL,
    Lineage,
    Manifest,
    Preprocessing,
    Resize,
)
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint, hash_model
from serving.spec import SmokeSample, SmokeSamples

SIZE = 16


def make_network(*, sign: float = 1.0) -> onnx.ModelProto:
    """Mean brightness b in [-1, 1] → softmax([4b, -4b] · sign)."""
    weights = np.array([[4.0, -4.0]], dtype=np.float32) * sign
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def make_slow_network() -> onnx.ModelProto:
    """The same, and above it so much to multiply that an answer takes most of a second, or more."""
    model = make_network()
    graph = model.graph
    last = graph.node.pop()
    # On two idle cores that are fast: 0.4 s, which has to be more than goes unnoticed.
    steps = _multiply_much(graph, "nothing", times=24)
    graph.node.extend([*steps, *_end_with("nothing", last.output[0])])
    return model


def make_slow_at_grey_network() -> onnx.ModelProto:
    """The same for black and white, slow at any other picture."""
    model = make_network()
    graph = model.graph
    last = graph.node.pop()
    for name, level in (("one", 1.0), ("little", 0.5)):
        array = np.array(level, dtype=np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((), np.float32), "quick"))
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("much", "none")]
    slow = helper.make_graph(_multiply_much(graph, "much"), "slow", [], out[:1])
    quick = helper.make_graph([helper.make_node("Identity", ["quick"], ["none"])], "q", [], out[1:])
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["x"], ["brightness"], keepdims=0),
            helper.make_node("Mul", ["brightness", "brightness"], ["square"]),
            helper.make_node("Sub", ["one", "square"], ["grey"]),
            helper.make_node("Greater", ["grey", "little"], ["is_grey"]),
            helper.make_node("If", ["is_grey"], ["nothing"], then_branch=slow, else_branch=quick),
            *_end_with("nothing", last.output[0]),
        ]
    )
    return model


def _multiply_much(graph: onnx.GraphProto, output: str, *, times: int = 4) -> list[onnx.NodeProto]:
    side = 1500
    graph.initializer.append(
        onnx.numpy_helper.from_array(np.zeros((side, side), dtype=np.float32), "zeros")
    )
    # From the input, so that no optimiser does it once and for all.
    steps = [helper.make_node("ReduceMean", ["x"], ["level"], keepdims=0)]
    steps += [helper.make_node("Add", ["zeros", "level"], ["step0"])]
    steps += [
        helper.make_node("MatMul", [f"step{n}", "zeros"], [f"step{n + 1}"]) for n in range(times)
    ]
    return [*steps, helper.make_node("ReduceMean", [f"step{times}"], [output], keepdims=0)]


def _end_with(nothing: str, output: str) -> list[onnx.NodeProto]:
    """Adds what is 0 to the logits, so that it has to be computed."""
    return [
        helper.make_node("Add", ["logits", nothing], ["sum"]),
        helper.make_node("Softmax", ["sum"], [output], axis=1),
    ]


def make_failing_network() -> onnx.ModelProto:
    """The same for black and white; of any other picture it looks up what is not there."""
    model = make_network()
    graph = model.graph
    last = graph.node.pop()
    for name, value in (("table", [0.0]), ("ten", [10.0]), ("one", [1.0])):
        array = np.array(value, dtype=np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    # Brightness is near -1 or 1 of these two: 10 (1 - b²) is their index 0, and no index of grey.
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["x"], ["level"], keepdims=0),
            helper.make_node("Mul", ["level", "level"], ["square"]),
            helper.make_node("Sub", ["one", "square"], ["grey"]),
            helper.make_node("Mul", ["grey", "ten"], ["much"]),
            helper.make_node("Cast", ["much"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["nothing"]),
            helper.make_node("Add", ["logits", "nothing"], ["sum"]),
            helper.make_node("Softmax", ["sum"], [last.output[0]], axis=1),
        ]
    )
    return model


def make_nan_network() -> onnx.ModelProto:
    """Answers every picture at once, with scores that are no numbers."""
    model = make_network()
    (weights,) = model.graph.initializer
    nothing = np.full((1, 2), np.nan, dtype=np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(nothing, weights.name))
    return model


def make_broken_network() -> onnx.ModelProto:
    """Loads, and fails at every picture: it looks up what is not there."""
    model = make_failing_network()
    for constant in model.graph.initializer:
        if constant.name == "one":
            # The index becomes 1,000 for white and black, too.
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array([100], np.float32), "one"))
    return model


def make_manifest(
    classes: tuple[str, ...] = ("bright", "dark"), resize: Resize = "crop"
) -> Manifest:
    lineage = Lineage(
        dataset="brightness",
        snapshot_id="0123abcd",
        run_id="20260102T030405-abcdef",
        code_version="test",
        backbone="none",
        backbone_sha256="0" * 64,
        weights_licence="Apache-2.0",
        created_at="2026-01-02T03:04:05Z",
    )
    return Manifest(
        classes=classes,
        preprocessing=Preprocessing(size=SIZE, resize=resize),
        metrics={"accuracy": 0.9},
        lineage=lineage,
    )


def write_bundle(
    folder: Path,
    *,
    classes: tuple[str, ...] = ("bright", "dark"),
    sign: float = 1.0,
    resize: Resize = "crop",
    network: onnx.ModelProto | None = None,
) -> Path:
    folder.mkdir(parents=True)
    model = make_network(sign=sign) if network is None else network
    (folder / MODEL_FILE).write_bytes(model.SerializeToString())
    (folder / MANIFEST_FILE).write_text(make_manifest(classes, resize).model_dump_json())
    return folder


def write_several_bundle(
    folder: Path,
    thresholds: tuple[float, float],
    *,
    classes: tuple[str, str] = ("bright", "dark"),
    sign: float = 1.0,
) -> Path:
    """Mean brightness b in [-1, 1] → sigmoid([4b, -4b] · sign), each a probability of its own."""
    network = make_network(sign=sign)
    network.graph.node[-1].CopyFrom(helper.make_node("Sigmoid", ["logits"], ["y"]))
    write_bundle(folder, classes=classes, network=network)
    several = {"task": SEVERAL, "thresholds": thresholds}
    manifest = make_manifest(classes).model_copy(update=several)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder


def add_operating_point(bundle: Path, decline_below: float) -> OperatingPoint:
    """As build_image leaves it beside the network."""
    point = OperatingPoint(
        model_sha256=hash_model((bundle / MODEL_FILE).read_bytes()),
        run_id="20260102T030405-abcdef",
        snapshot_id="0123abcd",
        decline_below=decline_below,
        class_thresholds={"bright": 0.4},
    )
    (bundle / OPERATING_POINT_FILE).write_text(point.model_dump_json())
    return point


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(value: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """A PNG of one grey."""
    return encode(Image.new("RGB", size, (value, value, value)))


def make_samples(bright: str, dark: str) -> SmokeSamples:
    """A white and a black picture, with the labels that are expected of them."""
    pictures = ((plain(255), bright), (plain(0), dark))
    return SmokeSamples(
        samples=tuple(
            SmokeSample(
                sha256=hashlib.sha256(data).hexdigest(),
                content_base64=base64.b64encode(data).decode(),
                predicted=label,
            )
            for data, label in pictures
        )
    )
