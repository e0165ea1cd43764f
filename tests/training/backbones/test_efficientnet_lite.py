import io

import numpy as np
import paddle
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.job.errors import UserError
from training.backbones.catalogue import CATALOGUE, find_backbone, load_pretrained
from training.backbones.efficientnet_lite import (
    LITE0,
    LITE2,
    STAGES,
    FeatureExtractor,
    Variant,
    same_padding,
    scale_channels,
    scale_repeats,
)


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


def test_pretrained_weights_know_imagenet() -> None:
    network = load_pretrained(find_backbone("efficientnet-lite0"))
    assert sum(int(np.prod(p.shape)) for p in network.parameters()) == 4_694_024
    preprocessing = Preprocessing(size=LITE0.size)
    # Classes of ImageNet: 698 palace, 985 daisy.
    for name, label in (("china.jpg", 698), ("flower.jpg", 985)):
        file = io.BytesIO()
        Image.fromarray(load_sample_image(name)).save(file, "PNG")
        picture = codec.prepare(file.getvalue(), preprocessing)
        with paddle.no_grad():
            logits = network(paddle.to_tensor(codec.to_batch([picture], preprocessing)))
        assert int(logits.argmax().item()) == label


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Did you mean efficientnet-lite0\?"):
        find_backbone("efficientnet-light0")


def test_names_and_licences_are_there() -> None:
    assert len({b.name for b in CATALOGUE}) == len(CATALOGUE)
    assert all(b.licence for b in CATALOGUE)
