"""Trained weights back into a backbone, in Paddle and in ONNX."""

from dataclasses import dataclass

import onnx
from paddle import nn

from serving.job.search import Depth
from training.backbones.efficientnet_lite import ConvNorm, FeatureExtractor
from training.backbones.export import convert_to_onnx
from training.backbones.tail import Tail, replace_convolutions
from training.head_weights import set_weights
from training.tasks.protocol import Arrays


@dataclass(frozen=True)
class Body:
    """What was trained of a backbone: its last blocks or all of it, and their weights."""

    depth: Depth
    weights: Arrays


def put_back(
    backbone: onnx.ModelProto, extractor: nn.Layer, body: Body, size: int
) -> onnx.ModelProto:
    """Give the extractor trained weights, and return the ONNX network that has them, too.

    size: side of its pictures. RuntimeError where the extractor has no such part.
    """
    if isinstance(extractor, FeatureExtractor):
        part = Tail(extractor) if body.depth == "last_blocks" else extractor
        set_weights(part, body.weights)
        trained = [layer for layer in part.sublayers() if isinstance(layer, ConvNorm)]
        return replace_convolutions(backbone, trained)
    if body.depth == "last_blocks":
        raise RuntimeError("the backbone has no last blocks that could be trained")
    set_weights(extractor, body.weights)
    extractor.eval()
    return convert_to_onnx(extractor, size)
