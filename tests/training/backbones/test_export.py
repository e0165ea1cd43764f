import hashlib
from pathlib import Path

import numpy as np
import onnx
import paddle

from serving.bundle.predictor import OnnxNetwork
from training.backbones.catalogue import find_backbone, load_pretrained
from training.spec import ExportBackboneOutcome


def test_file_is_named_by_its_hash_and_described(backbone: ExportBackboneOutcome) -> None:
    content = Path(backbone.file.onnx_uri.removeprefix("file://")).read_bytes()
    assert backbone.file.sha256 == hashlib.sha256(content).hexdigest()
    assert backbone.file.onnx_uri.endswith(f"/{backbone.file.sha256[:12]}.onnx")
    assert backbone.file.licence.startswith("Apache-2.0")
    assert backbone.file.file_bytes == len(content)
    assert backbone.file.latency_ms > 0
    assert (backbone.size, backbone.parameters, backbone.flops) == (224, 3_413_024, 383_907_552)
    graph = onnx.load_from_string(content).graph
    assert [value.name for value in graph.input] == ["picture"]
    assert [value.name for value in graph.output] == ["features"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"


def test_any_batch_gives_what_paddle_gives(backbone: ExportBackboneOutcome) -> None:
    content = Path(backbone.file.onnx_uri.removeprefix("file://")).read_bytes()
    extractor = load_pretrained(find_backbone(backbone.file.name)).extractor
    network = OnnxNetwork(content)
    for count in (1, 5):
        batch = np.random.default_rng(count).uniform(-1, 1, (count, 3, 224, 224))
        with paddle.no_grad():
            expected = extractor(paddle.to_tensor(batch.astype(np.float32))).numpy()
        found = network.run(batch.astype(np.float32))
        assert found.shape == (count, backbone.file.features)
        np.testing.assert_allclose(found, expected, atol=1e-4)
