"""A trained head as a few plain layers, from which Paddle's and ONNX's forms are both made."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx
import paddle
from onnx import helper, numpy_helper
from paddle import nn

Doubles = npt.NDArray[np.float64]
# Keeps a vector of zeros from becoming no number.
LEAST_NORM = 1e-12


@dataclass(frozen=True)
class Shift:
    """Add an offset [d]."""

    offset: Doubles


@dataclass(frozen=True)
class Normalize:
    """Divide each row by its Euclidean length."""


@dataclass(frozen=True)
class Dense:
    """[n, d] @ weight [d, k] + bias [k]."""

    weight: Doubles
    bias: Doubles


@dataclass(frozen=True)
class Rectify:
    """Set what is below 0 to 0."""


Layer = Shift | Normalize | Dense | Rectify


@dataclass(frozen=True)
class Layers:
    """Some layers, then the one that gives the outputs."""

    before: tuple[Layer, ...]
    output: Dense

    def __iter__(self) -> Iterator[Layer]:
        return iter((*self.before, self.output))

    def cool(self, temperature: float) -> "Layers":
        """The same with outputs divided by a temperature."""
        output = Dense(self.output.weight / temperature, self.output.bias / temperature)
        return replace(self, output=output)


class _Shifted(nn.Layer):
    def __init__(self, offset: Doubles) -> None:
        super().__init__()
        self.register_buffer("offset", paddle.to_tensor(offset.astype(np.float32)))

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        shifted: paddle.Tensor = features + self.offset
        return shifted


class _Normalized(nn.Layer):
    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        return nn.functional.normalize(features, axis=-1, epsilon=LEAST_NORM)


def to_paddle(layers: Layers) -> nn.Sequential:
    """The layers in Paddle, [n, d] → [n, k]."""
    return nn.Sequential(*map(_to_paddle, layers))


def _to_paddle(layer: Layer) -> nn.Layer:
    match layer:
        case Shift():
            return _Shifted(layer.offset)
        case Normalize():
            return _Normalized()
        case Rectify():
            return nn.ReLU()
        case Dense():
            dense = nn.Linear(*layer.weight.shape)
            dense.weight.set_value(layer.weight.astype(np.float32))
            dense.bias.set_value(layer.bias.astype(np.float32))
            return dense


def append_layers(graph: onnx.GraphProto, layers: Layers, output: str) -> None:
    """Append layers to the nodes of a graph whose one output is [n, d]; theirs gets a name."""
    value = graph.output[0].name
    for number, layer in enumerate(layers):
        name = f"head.{number}"
        made = output if layer is layers.output else name
        match layer:
            case Dense():
                _give(graph, f"{name}.weight", layer.weight)
                _give(graph, f"{name}.bias", layer.bias)
                inputs = [value, f"{name}.weight", f"{name}.bias"]
                graph.node.append(helper.make_node("Gemm", inputs, [made]))
            case Shift():
                _give(graph, f"{name}.offset", layer.offset)
                graph.node.append(helper.make_node("Add", [value, f"{name}.offset"], [made]))
            case Normalize():
                _give(graph, f"{name}.least", np.array([LEAST_NORM]))
                length, safe = f"{name}.length", f"{name}.safe"
                graph.node.extend(
                    [
                        helper.make_node("ReduceL2", [value], [length], axes=[1], keepdims=1),
                        helper.make_node("Max", [length, f"{name}.least"], [safe]),
                        helper.make_node("Div", [value, safe], [made]),
                    ]
                )
            case Rectify():
                graph.node.append(helper.make_node("Relu", [value], [made]))
        value = made


def _give(graph: onnx.GraphProto, name: str, values: Doubles) -> None:
    graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
