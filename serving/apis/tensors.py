"""Open Inference Protocol: tensors in JSON and as bytes behind it; pure."""

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from serving.apis.tensor_schemas import InferInput, InferOutput, InferRequest
from serving.body import parse_json
from serving.request_errors import RequestError

LENGTH_HEADER = "Inference-Header-Content-Length"
BINARY_SIZE = "binary_data_size"
EXAMPLE = '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["<base64>"]}]}'
_REQUEST = TypeAdapter(InferRequest)


def bad_tensor(message: str) -> RequestError:
    """A tensor that does not fit; the message says which and why."""
    return RequestError(400, "bad_tensor", message)


def _misfit(one: InferInput, found: str) -> RequestError:
    return bad_tensor(f"{one.name}: shape {list(one.shape)} does not fit {found}.")


def split_request(body: bytes, header_length: str | None) -> tuple[InferRequest, bytes]:
    """The JSON, and the bytes behind it; raises RequestError."""
    length = len(body)
    if header_length is not None:
        plain = header_length.isascii() and header_length.isdigit() and len(header_length) < 12
        if not plain or int(header_length) > length:
            raise bad_tensor(
                f"{LENGTH_HEADER} is {header_length[:40]!r}, but the body has {length} bytes."
            )
        length = int(header_length)
    return parse_json(body[:length], _REQUEST, EXAMPLE), body[length:]


def cut_binaries(request: InferRequest, behind: bytes) -> list[bytes | None]:
    """Each input's part of the bytes behind the JSON; None where it has none."""
    parts: list[bytes | None] = []
    start = 0
    for one in request.inputs:
        size = one.parameters.get(BINARY_SIZE)
        if size is None:
            parts.append(None)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise bad_tensor(f"{one.name}: {BINARY_SIZE} is {size!r}: give a whole number from 0.")
        if start + size > len(behind):
            raise bad_tensor(
                f"{one.name}: {BINARY_SIZE} is {size}, but {len(behind) - start} bytes are left."
            )
        parts.append(behind[start : start + size])
        start += size
    if start != len(behind):
        raise bad_tensor(f"{len(behind) - start} bytes behind the JSON belong to no input.")
    return parts


def _count(one: InferInput) -> int:
    return int(np.prod(np.array(one.shape, dtype=object))) if one.shape else 1


def _flatten(data: Sequence[Any]) -> list[Any]:
    """Nested lists → one, without recursion: their depth is the caller's."""
    flat: list[Any] = []
    stack = [iter(data)]
    while stack:
        for element in stack[-1]:
            if isinstance(element, list):
                stack.append(iter(element))
                break
            flat.append(element)
        else:
            stack.pop()
    return flat


def read_bytes(one: InferInput, binary: bytes | None) -> list[bytes]:
    """A BYTES tensor's elements: with their lengths (uint32) before them, or base64 in JSON."""
    if binary is None:
        elements = []
        for number, value in enumerate(_flatten(one.data or [])):
            try:
                elements.append(base64.b64decode(value, validate=True))
            except (TypeError, ValueError, binascii.Error):
                raise bad_tensor(f"{one.name}: element {number} is not base64.") from None
    else:
        elements, start = [], 0
        while start < len(binary):
            if start + 4 > len(binary):
                raise bad_tensor(f"{one.name}: its last bytes are no length.")
            (size,) = struct.unpack_from("<I", binary, start)
            if start + 4 + size > len(binary):
                raise bad_tensor(f"{one.name}: element {len(elements)} ends behind the tensor.")
            elements.append(binary[start + 4 : start + 4 + size])
            start += 4 + size
    if len(elements) != _count(one):
        raise bad_tensor(
            f"{one.name}: shape {list(one.shape)} does not fit {len(elements)} elements."
        )
    return elements


def read_floats(one: InferInput, binary: bytes | None) -> npt.NDArray[np.float32]:
    """An FP32 tensor; raises RequestError."""
    if binary is not None:
        if len(binary) != 4 * _count(one):
            raise bad_tensor(
                f"{one.name}: shape {list(one.shape)} does not fit {len(binary)} bytes."
            )
        values = np.frombuffer(binary, dtype="<f4")
    else:
        flat = _flatten(one.data or [])
        if not all(isinstance(v, int | float) for v in flat):
            raise bad_tensor(f"{one.name}: its data must be numbers.")
        if len(flat) != _count(one):
            raise bad_tensor(
                f"{one.name}: shape {list(one.shape)} does not fit {len(flat)} elements."
            )
        try:
            with np.errstate(over="ignore"):  # what is too large is infinite, and refused below
                values = np.array(flat, dtype=np.float64).astype(np.float32)
        except OverflowError:
            raise bad_tensor(f"{one.name}: a number is too large.") from None
    if not np.isfinite(values).all():
        raise bad_tensor(f"{one.name}: a value is not finite.")
    return values.reshape(one.shape)


@dataclass(frozen=True)
class Tensor:
    """An output: FP32 numbers, or strings."""

    name: str
    values: npt.NDArray[np.float32] | list[str]
    shape: tuple[int, ...]

    @property
    def datatype(self) -> str:
        return "BYTES" if isinstance(self.values, list) else "FP32"

    def write_json(self) -> InferOutput:
        """With its elements inside the JSON."""
        data = self.values if isinstance(self.values, list) else self.values.ravel().tolist()
        return InferOutput(name=self.name, shape=self.shape, datatype=self.datatype, data=data)

    def write_binary(self) -> tuple[InferOutput, bytes]:
        """With its elements as bytes behind the JSON."""
        if isinstance(self.values, list):
            encoded = [value.encode() for value in self.values]
            content = b"".join(struct.pack("<I", len(one)) + one for one in encoded)
        else:
            content = self.values.astype("<f4").tobytes()
        output = InferOutput(
            name=self.name,
            shape=self.shape,
            datatype=self.datatype,
            parameters={BINARY_SIZE: len(content)},
        )
        return output, content


def is_true(value: Any) -> bool:
    """A parameter that switches something on."""
    return value is True
