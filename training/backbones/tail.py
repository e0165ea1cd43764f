"""The last blocks of a backbone: cut off, trained on cached maps, and put back."""

from typing import cast

import numpy as np
import onnx
import paddle
from onnx import TensorProto, helper, numpy_helper
from paddle import nn

from training.backbones.efficientnet_lite import ConvNorm, FeatureExtractor, InvertedResidual
from training.backbones.products import run_block, run_pointwise, to_columns

# On a CPU one block is trained twenty times as fast as all of them.
LAST_BLOCKS = 1
# In the order of ONNX's inputs.
NORM = ("weight", "bias", "_mean", "_variance")


class Tail(nn.Layer):
    """What follows the frozen blocks; shares its layers with the extractor it is cut from.

    Norms keep the statistics they were pretrained with: those of small batches would be worse.
    ValueError where one of the blocks halves its maps.
    """

    def __init__(self, extractor: FeatureExtractor, blocks: int = LAST_BLOCKS) -> None:
        super().__init__()
        last = [one for one in extractor.blocks if isinstance(one, InvertedResidual)][-blocks:]
        self.blocks = nn.Sequential(*last)
        self.head = extractor.head
        if any(block.stride != 1 for block in last):
            raise ValueError(f"the last {blocks} blocks are on maps of different sizes")

    def forward(self, maps: paddle.Tensor) -> paddle.Tensor:
        """[n, c, side, side] → features [n, d]."""
        columns = to_columns(maps)
        for block in self.blocks:
            columns = run_block(cast(InvertedResidual, block), columns, maps.shape[-1])
        features: paddle.Tensor = run_pointwise(self.head, columns).mean(axis=2).transpose([1, 0])
        return features

    @property
    def convolutions(self) -> list[ConvNorm]:
        """In the order in which they are computed, which is ONNX's order of nodes."""
        return [layer for layer in self.sublayers() if isinstance(layer, ConvNorm)]


def cut_tail(backbone: onnx.ModelProto, tail: Tail) -> onnx.ModelProto:
    """The backbone's ONNX network up to what the tail is given."""
    name = _find_nodes(backbone, tail.convolutions)[0].input[0]
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    last = next(i for i, node in enumerate(graph.node) if name in node.output)
    del graph.node[last + 1 :]
    # onnxruntime warns about each one that nothing reads.
    read = {name, *(one for node in graph.node for one in node.input)}
    nodes = [node for node in graph.node if node.op_type != "Constant" or node.output[0] in read]
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [one for one in graph.initializer if one.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    del graph.output[:]
    shape = ["n", None, None, None]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    return model


def replace_convolutions(
    backbone: onnx.ModelProto, convolutions: list[ConvNorm]
) -> onnx.ModelProto:
    """The backbone's ONNX network with the weights of its last trained convolutions, or of all."""
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    weights = {one.name: one for one in model.graph.initializer}
    # paddle2onnx writes weights as constants.
    for node in model.graph.node:
        if node.op_type == "Constant":
            weights[node.output[0]] = node.attribute[0].t
    norms = {n.input[0]: n for n in model.graph.node if n.op_type == "BatchNormalization"}
    for node, layer in zip(_find_nodes(model, convolutions), convolutions, strict=True):
        norm = norms[node.output[0]]
        state = layer.state_dict()
        given = [state[name].numpy() for name in ("conv.weight", *(f"norm.{n}" for n in NORM))]
        for name, array in zip((node.input[1], *norm.input[1:]), given, strict=True):
            weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))
    onnx.checker.check_model(model)
    return model


def _find_nodes(model: onnx.ModelProto, convolutions: list[ConvNorm]) -> list[onnx.NodeProto]:
    every = [node for node in model.graph.node if node.op_type == "Conv"]
    return every[-len(convolutions) :]
