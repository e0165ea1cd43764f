"""A network of paddle.vision.models on tiny pictures: the whole of it trains in seconds."""

import hashlib
from pathlib import Path

import paddle
import pyarrow as pa
import pyarrow.parquet as pq
from paddle import nn
from safetensors.numpy import save

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.bundle.predictor import OnnxNetwork
from serving.job.inputs import BackboneFile, GivenWeights, InputFeatures, NetworkName
from training.backbones.export import convert_to_onnx
from training.backbones.vision import NETWORKS, VisionExtractor
from training.norms import quiet_norms

SIDE = 32


def make_tiny(folder: Path, snapshot: Path, network: NetworkName) -> InputFeatures:
    """A backbone with weights that a seed has drawn, and a snapshot's features by it."""
    folder.mkdir(parents=True, exist_ok=True)
    paddle.seed(0)
    body = NETWORKS[network].make_body()
    preprocessing = Preprocessing(size=SIDE)
    rows = pq.read_table(snapshot / "segment.parquet").to_pylist()
    pixels = [codec.prepare(row["content"], preprocessing) for row in rows]
    batch = codec.to_batch(pixels, preprocessing)
    _calibrate(body, batch)
    weights = save({name: value.numpy() for name, value in body.state_dict().items()})
    (folder / "given.safetensors").write_bytes(weights)
    extractor = VisionExtractor(body)
    extractor.eval()
    content = convert_to_onnx(extractor, SIDE).SerializeToString()
    (folder / "backbone.onnx").write_bytes(content)
    vectors = OnnxNetwork(content).run(batch)
    column = pa.array(list(vectors), pa.list_(pa.float32()))
    table = pa.table({"sha256": [row["sha256"] for row in rows], "vector": column})
    pq.write_table(table, folder / "features.parquet")
    file = BackboneFile(
        name="tiny",
        onnx_uri=(folder / "backbone.onnx").as_uri(),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="CC0",
        features=vectors.shape[1],
        file_bytes=len(content),
        latency_ms=0.5,
        weights=GivenWeights(
            network=network,
            uri=(folder / "given.safetensors").as_uri(),
            sha256=hashlib.sha256(weights).hexdigest(),
        ),
    )
    return InputFeatures(backbone=file, preprocessing=preprocessing, features_uri=folder.as_uri())


def _calibrate(body: nn.Layer, batch: codec.Batch) -> None:
    """Give norms the statistics of some pictures, as if they had been trained on them."""
    for norm in body.sublayers():
        if isinstance(norm, nn.BatchNorm2D):
            norm._momentum = 0.0
    body.train()
    with paddle.no_grad(), quiet_norms():
        body(paddle.to_tensor(batch))


def forget(given: InputFeatures) -> InputFeatures:
    """The same backbone as if its weights meant nothing."""
    weights = given.backbone.weights
    assert weights
    untrained = weights.model_copy(update={"untrained": True})
    backbone = given.backbone.model_copy(update={"weights": untrained})
    return given.model_copy(update={"backbone": backbone})
