"""The job export_backbone: a pretrained feature extractor as one ONNX file."""

import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import paddle

from serving.bundle.predictor import OnnxNetwork
from serving.job import store
from serving.job.inputs import BackboneFile, GivenWeights
from training.backbones.catalogue import find_backbone, load_pretrained
from training.backbones.cost import count_flops, count_parameters
from training.backbones.fetch import fetch_weights
from training.backbones.untrained import draw_weights
from training.backbones.vision import SIZE, build_extractor, check_sum
from training.paddle_files import save_network
from training.spec import ExportBackboneOutcome, ExportBackboneSpec, FromScratch, NewBackbone

INPUT = "picture"
OUTPUT = "features"
OPSET = 13
TOLERANCE = 1e-4
CONVERSION_LIMIT_S = 300
NO_LICENCE = "none needed: random weights"
LATENCY_RUNS = 15


def convert_to_onnx(network: paddle.nn.Layer, size: int) -> onnx.ModelProto:
    """Convert a network [n, 3, size, size] → [n, k] with any n; input and output get our names.

    The converter runs in a process of its own: it ends the whole process on some errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = save_network(network, Path(folder), size)
        target = Path(folder) / "network.onnx"
        command = [sys.executable, "-m", "paddle2onnx.command"]
        command += ["--model_dir", folder, "--save_file", str(target)]
        command += ["--model_filename", files.network, "--params_filename", files.weights]
        # The default, polygraphy, would be installed from the network in mid-export.
        command += ["--opset_version", str(OPSET), "--optimize_tool", "None"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CONVERSION_LIMIT_S, check=False
        )
        if done.returncode != 0 or not target.is_file():
            raise RuntimeError(
                f"paddle2onnx ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
            )
        model = onnx.load(target)
    return _tidy(model)


def _tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    graph.input[0].name, graph.output[0].name = INPUT, OUTPUT
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    # The converter leaves constants that nothing reads; onnxruntime warns about each.
    read = {name for node in graph.node for name in node.input}
    used = [n for n in graph.node if n.op_type != "Constant" or n.output[0] in read]
    del graph.node[:]
    graph.node.extend(used)
    onnx.checker.check_model(model)
    return model


def largest_difference(network: paddle.nn.Layer, content: bytes, size: int) -> float:
    """Largest |ONNX − Paddle| over seeded noise, relative to the largest output."""
    batch = np.random.default_rng(0).uniform(-1, 1, (3, 3, size, size)).astype(np.float32)
    with paddle.no_grad():
        expected = network(paddle.to_tensor(batch)).numpy()
    found = OnnxNetwork(content).run(batch)
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def measure_latency(content: bytes, size: int) -> float:
    """Median milliseconds of one picture on one core.

    Counted as this thread's CPU time, which is the wall time of an idle core: several backbones
    may be exported at once, and the machine may be busy.
    """
    network = OnnxNetwork(content, threads=1)
    picture = np.zeros((1, 3, size, size), np.float32)
    network.run(picture)
    taken = []
    for _ in range(LATENCY_RUNS):
        started = time.thread_time()
        network.run(picture)
        taken.append(time.thread_time() - started)
    return 1e3 * statistics.median(taken)


def count_features(content: bytes, size: int) -> int:
    """Length of a picture's vector."""
    return int(OnnxNetwork(content).run(np.zeros((1, 3, size, size), np.float32)).shape[1])


@dataclass(frozen=True)
class _Source:
    """A network to export. words: where its weights come from."""

    extractor: paddle.nn.Layer
    size: int
    licence: str
    words: str
    weights: GivenWeights | None = None


def _find(spec: ExportBackboneSpec) -> _Source:
    if spec.given is None:
        return _load(spec.backbone)
    if isinstance(spec.given, FromScratch):
        return _draw(spec.output_uri, spec.given)
    return _bring(spec.output_uri, spec.given)


def _load(name: str) -> _Source:
    backbone = find_backbone(name)
    extractor = load_pretrained(backbone).extractor
    return _Source(extractor, backbone.variant.size, backbone.licence, backbone.source)


def _bring(output_uri: str, given: NewBackbone) -> _Source:
    """Check a user's weight file, and keep it."""
    weights = given.weights
    content = fetch_weights(weights.uri)
    check_sum(content, weights.sha256, weights.uri)
    return _keep(output_uri, given, content)


def _draw(output_uri: str, given: FromScratch) -> _Source:
    """Draw a weight file, and keep it as if a user had brought it."""
    content = draw_weights(given.network, given.seed)
    digest = hashlib.sha256(content).hexdigest()
    weights = GivenWeights(network=given.network, uri="", sha256=digest, untrained=True)
    drawn = NewBackbone(weights=weights, licence=NO_LICENCE, source=given.source)
    return _keep(output_uri, drawn, content)


def _keep(output_uri: str, given: NewBackbone, content: bytes) -> _Source:
    """Keep a weight file beside the ONNX file: bundles are made from it."""
    weights = given.weights
    extractor = build_extractor(weights.network, content)
    kept = store.join(output_uri, f"{weights.sha256[:12]}.weights")
    store.write_bytes(kept, content)
    weights = weights.model_copy(update={"uri": kept})
    return _Source(extractor, SIZE, given.licence, given.source, weights)


def export_backbone(spec: ExportBackboneSpec) -> ExportBackboneOutcome:
    """Write <sha256[:12]>.onnx below output_uri; fails if it differs from Paddle's network."""
    paddle.set_device("cpu")
    source = _find(spec)
    extractor, size = source.extractor, source.size
    content = convert_to_onnx(extractor, size).SerializeToString()
    difference = largest_difference(extractor, content, size)
    if difference > TOLERANCE:
        raise RuntimeError(
            f"{spec.backbone}: the ONNX file differs from Paddle's network by {difference:.1e}, "
            f"allowed is {TOLERANCE:.0e}"
        )
    digest = hashlib.sha256(content).hexdigest()
    uri = store.join(spec.output_uri, f"{digest[:12]}.onnx")
    store.write_bytes(uri, content)
    print(f"{spec.backbone}: {len(content) / 1e6:.1f} MB, ONNX − Paddle {difference:.1e}")
    return ExportBackboneOutcome(
        file=BackboneFile(
            name=spec.backbone,
            onnx_uri=uri,
            sha256=digest,
            licence=source.licence,
            features=count_features(content, size),
            file_bytes=len(content),
            latency_ms=measure_latency(content, size),
            weights=source.weights,
        ),
        size=size,
        parameters=count_parameters(extractor),
        flops=count_flops(extractor, size),
        source=source.words,
    )
