"""The smallest backbone in both forms, and heads with drawn weights, for every task."""

from collections.abc import Callable

import numpy as np
import onnx
import paddle
from onnx import TensorProto, helper

from serving.job.search import HeadKind, Recipe
from training.tasks.heads import Head
from training.tasks.protocol import Scaling

KINDS: tuple[HeadKind, ...] = ("linear", "cosine", "mlp")
SCALING = Scaling(np.array([1.0, -2.0, 30.0]), 0.25)
MakeHead = Callable[[Recipe, Scaling, int, int, int], Head]


class Pooling(paddle.nn.Layer):
    """The smallest backbone: the mean of each channel."""

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        features: paddle.Tensor = pictures.mean(axis=[2, 3])
        return features


def pooling_onnx() -> onnx.ModelProto:
    nodes = [
        helper.make_node("GlobalAveragePool", ["picture"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 4, 4])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "backbone", [picture], [features])
    opsets = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def draw_head(make_head: MakeHead, kind: HeadKind) -> Head:
    """A head for four classes with other weights than it starts with."""
    head = make_head(Recipe(input="", head=kind, hidden=5), SCALING, 4, 0, 0)
    chance = np.random.default_rng(0)
    for parameter in head.parameters():
        drawn = chance.normal(size=parameter.shape).astype(np.float32)
        parameter.set_value(drawn + (1 if parameter.shape[-2:] == [1, 1] else 0))
    head.eval()
    return head


def draw_pictures() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Of the size that pooling_onnx takes, [5, 3, 4, 4]."""
    return np.random.default_rng(1).normal(1, 1, (5, 3, 4, 4)).astype(np.float32)
