"""The last blocks: cut off and put back, they are the same network; trained, ONNX follows."""

import numpy as np
import onnx
import paddle
import pytest

from serving.bundle.predictor import OnnxNetwork
from serving.job import store
from serving.job.search import Depth
from training.backbones.catalogue import CATALOGUE, load_pretrained
from training.backbones.efficientnet_lite import LITE0, LITE1, LITE2, FeatureExtractor
from training.backbones.put_back import Body, put_back
from training.backbones.tail import Tail, cut_tail
from training.head_weights import copy_weights
from training.spec import ExportBackboneOutcome
from training.tasks.protocol import Arrays


@pytest.mark.parametrize("blocks", [1, 3])
def test_cut_then_tail_is_the_whole(backbone: ExportBackboneOutcome, blocks: int) -> None:
    whole = onnx.load_from_string(store.read_bytes(backbone.file.onnx_uri))
    tail = Tail(load_pretrained(CATALOGUE[0]).extractor, blocks)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    maps = OnnxNetwork(cut_tail(whole, tail).SerializeToString()).run(noise)
    assert maps.shape == (2, 192, 7, 7)
    # In training mode, too: the norms keep their statistics.
    tail.train()
    kept = tail.head.norm._mean.numpy().copy()
    found = tail(paddle.to_tensor(maps)).detach().numpy()
    np.testing.assert_array_equal(tail.head.norm._mean.numpy(), kept)
    expected = OnnxNetwork(whole.SerializeToString()).run(noise)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gradients_are_those_of_convolutions() -> None:
    extractor = load_pretrained(CATALOGUE[0]).extractor
    tail = Tail(extractor, 2)
    chance = np.random.default_rng(2)
    maps = paddle.to_tensor(chance.uniform(-3, 3, (4, 192, 7, 7)).astype(np.float32))
    factors = paddle.to_tensor(chance.normal(size=(4, 1280)).astype(np.float32))

    def find_gradients(features: paddle.Tensor) -> Arrays:
        tail.clear_gradients()
        (features * factors).sum().backward()
        gradients = {name: one.grad for name, one in tail.named_parameters()}
        return {name: one.numpy() for name, one in gradients.items() if one is not None}

    found = find_gradients(tail(maps))
    expected = find_gradients(tail.head(tail.blocks(maps)).mean(axis=[2, 3]))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        # Where a value lies at ReLU6's kink to the last bit, one of the two may pass it on.
        assert np.linalg.norm(found[name] - values) < 1e-3 * np.linalg.norm(values), name


def test_blocks_on_maps_of_one_size() -> None:
    with pytest.raises(ValueError, match="last 5 blocks"):
        Tail(FeatureExtractor(LITE0), 5)
    # Of the larger ones as many as are tested here, at least.
    for variant in (LITE1, LITE2):
        assert len(Tail(FeatureExtractor(variant), 3).blocks) == 3


@pytest.mark.parametrize("depth", ["last_blocks", "network"])
def test_changed_weights_reach_onnx(backbone: ExportBackboneOutcome, depth: Depth) -> None:
    whole = onnx.load_from_string(store.read_bytes(backbone.file.onnx_uri))
    extractor = load_pretrained(CATALOGUE[0]).extractor
    part = Tail(extractor) if depth == "last_blocks" else extractor
    chance = np.random.default_rng(1)
    # The norms' statistics are parameters, too, which are trained on cards.
    for parameter in part.parameters():
        values = parameter.numpy()
        parameter.set_value(values * chance.uniform(0.9, 1.1, values.shape).astype(np.float32))
    noise = chance.uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    with paddle.no_grad():
        expected = extractor(paddle.to_tensor(noise)).numpy()
    other = load_pretrained(CATALOGUE[0]).extractor
    replaced = put_back(whole, other, Body(depth, copy_weights(part)), 224).SerializeToString()
    with paddle.no_grad():
        np.testing.assert_array_equal(other(paddle.to_tensor(noise)).numpy(), expected)
    np.testing.assert_allclose(OnnxNetwork(replaced).run(noise), expected, atol=1e-4)
    before = OnnxNetwork(whole.SerializeToString()).run(noise)
    assert np.abs(before - expected).max() > 0.1
