import numpy as np
import onnx
import paddle
import pytest
from onnx import TensorProto, helper

from serving.bundle.predictor import OnnxNetwork
from training.tasks.classification.model import Head, append_head, count_right, join, train_losses


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


@pytest.fixture
def head() -> Head:
    head = Head(np.array([1.0, -2.0, 30.0]), 0.25, classes=4)
    rng = np.random.default_rng(0)
    head.linear.weight.set_value(rng.normal(size=(3, 4)).astype(np.float32))
    head.linear.bias.set_value(rng.normal(size=4).astype(np.float32))
    return head


def test_onnx_and_paddle_and_head_give_the_same(head: Head) -> None:
    pictures = np.random.default_rng(1).normal(1, 1, (5, 3, 4, 4)).astype(np.float32)
    with paddle.no_grad():
        scores = join(Pooling(), head)(paddle.to_tensor(pictures)).numpy()
        logits = head(paddle.to_tensor(pictures.mean(axis=(2, 3))))
        unfolded = paddle.nn.functional.softmax(logits).numpy()
    np.testing.assert_allclose(scores, unfolded, atol=1e-5)
    backbone = pooling_onnx()
    found = OnnxNetwork(append_head(backbone, head).SerializeToString()).run(pictures)
    np.testing.assert_allclose(found, scores, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert backbone == pooling_onnx()


def test_loss_is_smoothed_cross_entropy() -> None:
    logits = paddle.to_tensor([[2.0, 0.0], [0.0, 0.0]])
    losses = train_losses(logits, paddle.to_tensor([0, 1])).numpy()
    low = np.log(1 + np.exp(-2.0))
    np.testing.assert_allclose(losses, [0.95 * low + 0.05 * (low + 2), np.log(2)], rtol=1e-5)


def test_right_answers_are_counted() -> None:
    logits = paddle.to_tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    assert float(count_right(logits, paddle.to_tensor([0, 1, 1]))) == 2
