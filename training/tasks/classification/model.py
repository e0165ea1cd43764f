"""A linear classifier on the backbone's features."""

import numpy as np
import numpy.typing as npt
import onnx
import paddle
from onnx import TensorProto, helper, numpy_helper
from paddle import nn

from training.spec import TrainSpec
from training.tasks.protocol import Sides

LABEL_SMOOTHING = 0.1
SCORES = "scores"


class Head(nn.Layer):
    """Subtract the train side's mean, divide by its mean deviation, then one linear layer."""

    def __init__(self, mean: npt.NDArray[np.float64], deviation: float, classes: int) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation
        self.shift = paddle.to_tensor(mean.astype(np.float32))
        zeros = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))
        self.linear = nn.Linear(mean.size, classes, weight_attr=zeros, bias_attr=zeros)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """[n, d] → logits [n, classes]."""
        logits: paddle.Tensor = self.linear((features - self.shift) * (1 / self.deviation))
        return logits

    def fold(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Weight [d, classes] and bias [classes] of one linear layer on raw features."""
        weight = self.linear.weight.numpy().astype(np.float64) / self.deviation
        bias = self.linear.bias.numpy().astype(np.float64) - self.mean @ weight
        return weight.astype(np.float32), bias.astype(np.float32)


class Network(nn.Layer):
    """Pictures → class scores."""

    def __init__(self, extractor: nn.Layer, head: Head) -> None:
        super().__init__()
        weight, bias = head.fold()
        self.extractor = extractor
        self.linear = nn.Linear(*weight.shape)
        self.linear.weight.set_value(weight)
        self.linear.bias.set_value(bias)

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """[n, 3, size, size] → probabilities [n, classes]."""
        return nn.functional.softmax(self.linear(self.extractor(pictures)))


def make_head(spec: TrainSpec, sides: Sides) -> Head:
    """Build the head. It starts at zero: the problem is convex, so no seed is needed.

    One divisor for all features: dividing each by its own deviation makes those that hardly vary
    as loud as the others, and was no better on photos and worse on digits.
    """
    inputs = sides.train.inputs.astype(np.float64)
    deviation = max(float(inputs.std(axis=0).mean()), 1e-6)
    return Head(inputs.mean(axis=0), deviation, len(spec.classes))


def train_losses(outputs: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Cross-entropy against smoothed labels (Szegedy et al. 2016, section 7), [n]."""
    log_scores = nn.functional.log_softmax(outputs)
    picked = paddle.take_along_axis(log_scores, targets.unsqueeze(1), axis=1).squeeze(1)
    return -(1 - LABEL_SMOOTHING) * picked - LABEL_SMOOTHING * log_scores.mean(axis=1)


def count_right(outputs: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """How often the best score is the target's."""
    return (outputs.argmax(axis=1) == targets).astype("float32").sum()


def join(extractor: nn.Layer, head: Head) -> Network:
    """Build the whole network for inference."""
    network = Network(extractor, head)
    network.eval()
    return network


def append_head(backbone: onnx.ModelProto, head: Head) -> onnx.ModelProto:
    """Append Gemm and Softmax to a backbone [n, 3, size, size] → [n, d]."""
    weight, bias = head.fold()
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    features = graph.output[0].name
    graph.initializer.extend(
        [numpy_helper.from_array(weight, "head.weight"), numpy_helper.from_array(bias, "head.bias")]
    )
    graph.node.extend(
        [
            helper.make_node("Gemm", [features, "head.weight", "head.bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [SCORES], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["n", bias.size]))
    onnx.checker.check_model(model)
    return model
