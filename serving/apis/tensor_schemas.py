"""What the Open Inference Protocol accepts and answers."""

from typing import Annotated, Any

from pydantic import Field

from serving.schemas import ForeignMessage, Message


class ServerMetadata(Message):
    """Open Inference Protocol: the server."""

    name: str
    version: str
    extensions: tuple[str, ...]


class TensorMetadata(Message):
    """Open Inference Protocol: one input or output; -1 is any number."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(Message):
    """Open Inference Protocol: the model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class InferInput(ForeignMessage):
    """A tensor; its elements are in `data`, or behind the JSON where binary_data_size is given."""

    name: str
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31)], ...], Field(max_length=8)]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferRequestedOutput(ForeignMessage):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(ForeignMessage):
    """Open Inference Protocol: what is asked."""

    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: tuple[InferInput, ...]
    outputs: tuple[InferRequestedOutput, ...] = ()


class InferOutput(Message):
    """A tensor of the answer; without `data` its elements stand behind the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, int] | None = None
    data: list[float] | list[str] | None = None


class InferResponse(Message):
    """Open Inference Protocol: the answer."""

    id: str | None = None
    model_name: str
    model_version: str
    outputs: tuple[InferOutput, ...]


class InferError(Message):
    """Every answer of this API from 400 upwards."""

    error: str
