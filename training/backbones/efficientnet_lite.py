"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import math
from dataclasses import dataclass

import paddle
from paddle import nn

NORM_EPSILON = 1e-3
# Paddle's momentum is the share of the old statistics that is kept: 1 - 0.01 in torch's words.
NORM_MOMENTUM = 0.99
CHANNEL_DIVISOR = 8
STEM_CHANNELS = 32
FEATURES = 1280


@dataclass(frozen=True)
class Variant:
    """What tells Lite0, Lite1, … apart. size: side of the input picture in pixels."""

    width: float
    depth: float
    size: int
    dropout: float


@dataclass(frozen=True)
class Stage:
    """One row of EfficientNet's table: the same block, `repeats` times."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


LITE0 = Variant(width=1.0, depth=1.0, size=224, dropout=0.2)
LITE1 = Variant(width=1.0, depth=1.1, size=240, dropout=0.2)
LITE2 = Variant(width=1.1, depth=1.2, size=260, dropout=0.3)

STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)


def scale_channels(channels: int, width: float) -> int:
    """Scale and round to a multiple of 8, never down by more than 10 % (EfficientNet's rule)."""
    wanted = channels * width
    rounded = max(
        CHANNEL_DIVISOR, int(wanted + CHANNEL_DIVISOR / 2) // CHANNEL_DIVISOR * CHANNEL_DIVISOR
    )
    return rounded + CHANNEL_DIVISOR if rounded < 0.9 * wanted else rounded


def scale_repeats(stages: tuple[Stage, ...], depth: float) -> list[int]:
    """Blocks per stage. Lite keeps the first and the last stage as they are."""
    last = len(stages) - 1
    return [
        stage.repeats if i in (0, last) else math.ceil(stage.repeats * depth)
        for i, stage in enumerate(stages)
    ]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding (before, after) for one side of `size` pixels."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class ConvNorm(nn.Layer):
    """Convolution with SAME padding, batch normalisation, and ReLU6 where `activate`."""

    def __init__(
        self,
        size: int,
        channels: tuple[int, int],
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        before, after = same_padding(size, kernel, stride)
        self.conv = nn.Conv2D(
            channels[0],
            channels[1],
            kernel,
            stride=stride,
            padding=[before, after, before, after],
            groups=groups,
            bias_attr=False,
        )
        self.norm = nn.BatchNorm2D(channels[1], momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON)
        self.activation = nn.ReLU6() if activate else nn.Identity()

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """[n, in, size, size] → [n, out, ⌈size / stride⌉, ⌈size / stride⌉]."""
        outputs: paddle.Tensor = self.activation(self.norm(self.conv(inputs)))
        return outputs


class InvertedResidual(nn.Layer):
    """Expand, filter each channel, project back; added to its input where the shapes allow."""

    def __init__(self, size: int, channels: tuple[int, int], stage: Stage, stride: int) -> None:
        super().__init__()
        inside = channels[0] * stage.expansion
        self.expand = (
            ConvNorm(size, (channels[0], inside)) if stage.expansion > 1 else nn.Identity()
        )
        self.depthwise = ConvNorm(size, (inside, inside), stage.kernel, stride, groups=inside)
        self.project = ConvNorm(math.ceil(size / stride), (inside, channels[1]), activate=False)
        self.stride = stride
        self.residual = stride == 1 and channels[0] == channels[1]

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """[n, in, size, size] → [n, out, ⌈size / stride⌉, ⌈size / stride⌉]."""
        outputs: paddle.Tensor = self.project(self.depthwise(self.expand(inputs)))
        return outputs + inputs if self.residual else outputs


class FeatureExtractor(nn.Layer):
    """Pictures → vectors: everything but the classifier."""

    def __init__(self, variant: Variant, stages: tuple[Stage, ...] = STAGES) -> None:
        super().__init__()
        size = math.ceil(variant.size / 2)
        self.stem = ConvNorm(variant.size, (3, STEM_CHANNELS), kernel=3, stride=2)
        channels = STEM_CHANNELS
        blocks = []
        for stage, repeats in zip(stages, scale_repeats(stages, variant.depth), strict=True):
            out = scale_channels(stage.channels, variant.width)
            for i in range(repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(InvertedResidual(size, (channels, out), stage, stride))
                channels, size = out, math.ceil(size / stride)
        self.blocks = nn.Sequential(*blocks)
        # Lite keeps the head's width, whatever the coefficient.
        self.head = ConvNorm(size, (channels, FEATURES))

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """[n, 3, size, size], each value (v - 127) / 128 → [n, 1280]."""
        features: paddle.Tensor = self.head(self.blocks(self.stem(pictures)))
        return features.mean(axis=[2, 3])


class Classifier(nn.Layer):
    """The network as it was pretrained, for the 1,000 classes of ImageNet."""

    def __init__(self, variant: Variant, classes: int = 1000) -> None:
        super().__init__()
        self.extractor = FeatureExtractor(variant)
        self.dropout = nn.Dropout(variant.dropout)
        self.linear = nn.Linear(FEATURES, classes)

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """[n, 3, size, size] → logits [n, classes]."""
        logits: paddle.Tensor = self.linear(self.dropout(self.extractor(pictures)))
        return logits
