"""Networks of paddle.vision.models around weights that a user brings."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import paddle
import pytest
from safetensors.numpy import save

from serving.bundle.predictor import OnnxNetwork
from serving.job.errors import UserError
from serving.job.inputs import GivenWeights, NetworkName
from training.backbones.cost import count_flops
from training.backbones.export import export_backbone
from training.backbones.extractors import load_extractor
from training.backbones.vision import NETWORKS, SIZE, VisionExtractor, build_extractor
from training.backbones.weights import Array
from training.spec import ExportBackboneSpec, NewBackbone

# Million multiply-adds, from the papers and torchvision's tables, classifier included.
PUBLISHED: dict[NetworkName, float] = {
    "mobilenet-v2": 300,
    "mobilenet-v3-small": 57,
    "mobilenet-v3-large": 219,
    "squeezenet-1-0": 820,
    "squeezenet-1-1": 350,
    "resnet18": 1_814,
    "resnet50": 4_090,
}
NETWORK: NetworkName = "mobilenet-v3-small"


def make_weights(network: NetworkName = NETWORK) -> dict[str, Array]:
    """As paddle.vision.models saves the whole network, with its classifier."""
    paddle.seed(0)
    state = NETWORKS[network].make().state_dict()
    return {name: value.numpy() for name, value in state.items()}


def write_file(folder: Path, network: NetworkName = NETWORK) -> GivenWeights:
    content = save(make_weights(network))
    path = folder / "given.safetensors"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return GivenWeights(network=network, uri=path.as_uri(), sha256=sha256)


def make_spec(folder: Path, weights: GivenWeights) -> ExportBackboneSpec:
    given = NewBackbone(weights=weights, licence="CC0", source="drawn by a seed")
    return ExportBackboneSpec(output_uri=folder.as_uri(), backbone="ours", given=given)


def test_every_network_that_a_user_may_name_is_built() -> None:
    assert tuple(NETWORKS) == get_args(NetworkName)
    assert set(PUBLISHED) == set(NETWORKS)


@pytest.mark.parametrize("network", get_args(NetworkName))
def test_multiply_adds_are_near_the_published_ones(network: NetworkName) -> None:
    counted = count_flops(VisionExtractor(NETWORKS[network].make_body()), SIZE)
    # The published ones have the classifier; that of SqueezeNet is a convolution of a tenth or
    # a quarter of the network, that of the small MobileNets linear.
    assert 0.72 < counted / (1e6 * PUBLISHED[network]) < 1.02


@pytest.mark.parametrize("network", get_args(NetworkName))
def test_a_whole_network_s_weights_fit_and_its_classifier_is_left_out(network: NetworkName) -> None:
    weights = make_weights(network)
    extractor = build_extractor(network, save(weights))
    classifier = [name for name in weights if name.startswith(NETWORKS[network].classifier)]
    kept = {name.removeprefix("network.") for name in extractor.state_dict()}
    assert kept - {"factor", "shift"} == set(weights) - set(classifier)
    assert classifier


def test_pictures_reach_the_network_as_it_was_trained() -> None:
    extractor = VisionExtractor(paddle.nn.Identity())
    values = np.random.default_rng(0).integers(0, 256, (1, 3, 2, 2)).astype(np.float32)
    found = extractor(paddle.to_tensor((values - 127) / 128)).numpy().reshape(1, 3, 2, 2)
    mean = np.array([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    deviation = np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(found, (values / 255 - mean) / deviation, atol=1e-5)


def test_exported_network_is_the_one_whose_weights_were_given(tmp_path: Path) -> None:
    card = export_backbone(make_spec(tmp_path / "out", write_file(tmp_path)))
    assert (card.file.name, card.file.licence, card.source) == ("ours", "CC0", "drawn by a seed")
    assert (card.size, card.file.features) == (SIZE, 576)
    assert card.file.latency_ms > 0
    assert card.file.weights is not None
    # What the user gave may go: bundles are made from the copy.
    (tmp_path / "given.safetensors").unlink()
    extractor = load_extractor(card.file)
    state = extractor.state_dict()
    for name in ("conv.0.weight", "lastconv.1._mean"):
        np.testing.assert_array_equal(state[f"network.{name}"].numpy(), make_weights()[name])
    batch = np.random.default_rng(1).uniform(-1, 1, (2, 3, SIZE, SIZE)).astype(np.float32)
    content = Path(card.file.onnx_uri.removeprefix("file://")).read_bytes()
    with paddle.no_grad():
        expected = extractor(paddle.to_tensor(batch)).numpy()
    np.testing.assert_allclose(OnnxNetwork(content).run(batch), expected, atol=1e-4)


def change(name: str, value: Array | None) -> Callable[[dict[str, Array]], None]:
    def apply(weights: dict[str, Array]) -> None:
        del weights[name]
        if value is not None:
            weights[name] = value

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change("conv.0.weight", None), ["missing: conv.0.weight"]),
        (
            change("conv.0.weight", np.zeros((8, 3, 3, 3), np.float32)),
            ["of another shape: conv.0.weight [8, 3, 3, 3] instead of [16, 3, 3, 3]"],
        ),
        (
            change("lastconv.1._mean", np.full(576, np.nan, np.float32)),
            ["not finite: lastconv.1._mean"],
        ),
        (lambda weights: weights.update(extra=np.zeros(1, np.float32)), ["unknown: extra"]),
    ],
    ids=["missing", "shape", "nan", "unknown"],
)
def test_tensors_that_do_not_fit_are_named(
    spoil: Callable[[dict[str, Array]], None], words: list[str]
) -> None:
    weights = make_weights()
    spoil(weights)
    with pytest.raises(UserError) as raised:
        build_extractor(NETWORK, save(weights))
    said = str(raised.value)
    assert all(word in said for word in (f"do not fit {NETWORK}", "paddle.vision.models", *words))


def test_weights_of_another_network_get_a_sentence_of_readable_length() -> None:
    with pytest.raises(UserError, match=r"and \d+ more") as raised:
        build_extractor("resnet18", save(make_weights()))
    assert len(str(raised.value)) < 600


def test_another_file_than_was_meant_is_refused(tmp_path: Path) -> None:
    weights = write_file(tmp_path).model_copy(update={"sha256": "1" * 64})
    with pytest.raises(UserError, match=f"but {'1' * 64} was given"):
        export_backbone(make_spec(tmp_path / "out", weights))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("file:///nowhere/x.npz", "cannot be read"),
        ("http://127.0.0.1:9/x.npz", "cannot be read"),
        ("ftp://127.0.0.1/x.npz", "begins with ftp; allowed: file, hdfs, http, https"),
    ],
)
def test_weights_that_are_not_there_get_a_sentence(tmp_path: Path, uri: str, sentence: str) -> None:
    weights = GivenWeights(network=NETWORK, uri=uri, sha256="1" * 64)
    with pytest.raises(UserError, match=sentence):
        export_backbone(make_spec(tmp_path / "out", weights))
