import io
from typing import get_args

import paddle
import pytest
from paddle import nn
from PIL import Image
from sklearn.datasets import load_sample_image

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.job.errors import UserError
from training.backbones.catalogue import CATALOGUE, Backbone, find_backbone, load_pretrained
from training.backbones.cost import count_flops, count_parameters
from training.backbones.efficientnet_lite import (
    LITE2,
    STAGES,
    Classifier,
    FeatureExtractor,
    Variant,
    same_padding,
    scale_channels,
    scale_repeats,
)
from training.spec import BackboneName


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (224, 3, 1, (1, 1)),
        (224, 3, 2, (0, 1)),
        (224, 5, 2, (1, 2)),
        (15, 5, 2, (2, 2)),
        (7, 1, 1, (0, 0)),
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding


def test_coefficients_give_the_published_shapes() -> None:
    assert [scale_channels(s.channels, LITE2.width) for s in STAGES] == [
        16, 24, 48, 88, 120, 208, 352,
    ]  # fmt: skip
    assert scale_repeats(STAGES, LITE2.depth) == [1, 3, 3, 4, 4, 5, 1]


def test_odd_sizes_keep_the_length_of_the_features() -> None:
    extractor = FeatureExtractor(Variant(width=0.25, depth=0.1, size=45, dropout=0.0))
    extractor.eval()
    with paddle.no_grad():
        assert extractor(paddle.zeros([2, 3, 45, 45])).shape == [2, 1280]


# Parameters, and multiply-adds in millions, as the network's authors publish them.
PUBLISHED = {
    "efficientnet-lite0": (4_694_024, 407),
    "efficientnet-lite1": (5_470_344, 631),
    "efficientnet-lite2": (6_150_168, 899),
}


@pytest.mark.parametrize("backbone", CATALOGUE, ids=lambda one: one.name)
def test_pretrained_weights_know_imagenet(backbone: Backbone) -> None:
    network = load_pretrained(backbone)
    assert count_parameters(network) == PUBLISHED[backbone.name][0]
    preprocessing = Preprocessing(size=backbone.variant.size)
    # Classes of ImageNet: 698 palace. It has no dahlia, which looks like 985 daisy, 599 honeycomb.
    for name, labels in (("china.jpg", {698}), ("flower.jpg", {985, 599})):
        file = io.BytesIO()
        Image.fromarray(load_sample_image(name)).save(file, "PNG")
        picture = codec.prepare(file.getvalue(), preprocessing)
        with paddle.no_grad():
            logits = network(paddle.to_tensor(codec.to_batch([picture], preprocessing)))
        assert int(logits.argmax().item()) in labels


def test_multiply_adds_of_a_network_written_out() -> None:
    """Strided, grouped and padded convolutions, and a linear layer."""
    network = nn.Sequential(
        nn.Conv2D(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2D(8),
        nn.Conv2D(8, 8, 5, padding=2, groups=8),
        nn.AdaptiveAvgPool2D(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    network.train()
    assert count_flops(network, 9) == 5 * 5 * 8 * (3 * 9) + 5 * 5 * 8 * 25 + 8 * 10
    assert network.training


@pytest.mark.parametrize("backbone", CATALOGUE, ids=lambda one: one.name)
def test_multiply_adds_are_near_the_published_ones(backbone: Backbone) -> None:
    flops = count_flops(Classifier(backbone.variant), backbone.variant.size)
    # Theirs count the norms and activations, too.
    assert 0.94 < flops / (1e6 * PUBLISHED[backbone.name][1]) < 1


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Did you mean efficientnet-lite0\?"):
        find_backbone("efficientnet-light0")


def test_names_and_licences_are_there() -> None:
    assert tuple(b.name for b in CATALOGUE) == get_args(BackboneName)
    assert all(b.licence and b.distribution in b.source for b in CATALOGUE)
