"""A backbone and a trained head as the one network that is served, in Paddle and in ONNX."""

from typing import Any, Literal

import onnx
import paddle
from onnx import TensorProto, helper
from paddle import nn

from training.tasks.heads import Head
from training.tasks.layers import Layers, append_layers, to_paddle

SCORES = "scores"
LOGITS = "logits"
# What turns outputs into probabilities, as ONNX calls it, and how.
Activation = Literal["Softmax", "Sigmoid"]
ATTRIBUTES: dict[Activation, dict[str, Any]] = {"Softmax": {"axis": 1}, "Sigmoid": {}}


class Network(nn.Layer):
    """Pictures → class scores."""

    def __init__(self, extractor: nn.Layer, layers: Layers, activation: Activation) -> None:
        super().__init__()
        self.extractor = extractor
        self.head = to_paddle(layers)
        self.activate: nn.Layer = nn.Softmax() if activation == "Softmax" else nn.Sigmoid()

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """[n, 3, size, size] → probabilities [n, classes]."""
        scores: paddle.Tensor = self.activate(self.head(self.extractor(pictures)))
        return scores


def join_layers(
    extractor: nn.Layer, head: Head, temperature: float, activation: Activation
) -> Network:
    """Build the whole network for inference, its outputs at a temperature."""
    network = Network(extractor, head.freeze().cool(temperature), activation)
    network.eval()
    return network


def append_nodes(
    backbone: onnx.ModelProto, head: Head, temperature: float, activation: Activation
) -> onnx.ModelProto:
    """Append the same to a backbone [n, 3, size, size] → [n, d], which stays as it is."""
    layers = head.freeze().cool(temperature)
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    append_layers(graph, layers, LOGITS)
    graph.node.append(helper.make_node(activation, [LOGITS], [SCORES], **ATTRIBUTES[activation]))
    del graph.output[:]
    classes = layers.output.bias.size
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["n", classes]))
    onnx.checker.check_model(model)
    return model
