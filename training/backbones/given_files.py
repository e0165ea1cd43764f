"""Read weight files that a user brought, without trusting them.

Three formats, told apart by their content: Paddle's own (.pdparams, a pickle), NumPy's .npz, and
safetensors.
"""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from training.backbones.weights import Array, BadWeightsError, RestrictedUnpickler

# The largest network that is known has a tenth of it.
MOST_BYTES = 2**30
PICKLE_START = b"\x80"
ZIP_START = b"PK"
DTYPES = {code: np.dtype(code) for code in ("f2", "f4", "f8", "i4", "i8")}


class _Dtype:
    """Stand-in for numpy.dtype; knows plain little-endian numbers."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in DTYPES:
            raise BadWeightsError(f"the weight file holds {code!r}; only numbers are read")
        self.dtype = DTYPES[code]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", "=", "|"):
            raise BadWeightsError("the weight file is big-endian")


class _Array:
    """Stand-in for numpy.ndarray."""

    value: Array

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not (isinstance(kind, _Dtype) and isinstance(content, bytes)):
            raise BadWeightsError("a tensor in the weight file is no plain array")
        values = np.frombuffer(content, kind.dtype)
        self.value = values.reshape(shape, order="F" if by_columns else "C")


def _make_array(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as pickle's protocol 2 writes them."""
    if encoding != "latin1":
        raise BadWeightsError(f"the weight file asks for text as {encoding!r}")
    return text.encode("latin1")


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _make_array,
    ("numpy._core.multiarray", "_reconstruct"): _make_array,
    ("_codecs", "encode"): _encode,
    # Paddle writes a single tensor as (name, array).
    ("builtins", "tuple"): tuple,
}


def read_given_weights(content: bytes) -> dict[str, Array]:
    """Name → array. Raises BadWeightsError."""
    read = _read_safetensors
    # Safetensors begin with the length of a JSON object, whose first byte may be any.
    is_safe = content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content)
    if content.startswith(PICKLE_START) and not is_safe:
        read = _read_paddle
    elif content.startswith(ZIP_START):
        read = _read_npz
    try:
        found = read(content)
    except BadWeightsError:
        raise
    except Exception as error:  # what damaged bytes raise is anybody's guess
        raise BadWeightsError(f"it is damaged: {error or type(error).__name__}") from error
    if not found:
        raise BadWeightsError("there are no tensors in it")
    for name, value in found.items():
        if not (isinstance(name, str) and isinstance(value, np.ndarray)):
            raise BadWeightsError(f"{name!r} in it is no named tensor")
        if value.dtype.kind not in "fiu":
            raise BadWeightsError(f"{name} in it is of {value.dtype}; only real numbers are read")
    return found


def _read_paddle(content: bytes) -> dict[str, Array]:
    state = RestrictedUnpickler(io.BytesIO(content), KNOWN).load()
    if not isinstance(state, dict):
        raise BadWeightsError("it holds no state dict")
    bare = {
        name: value[1] if isinstance(value, tuple) and len(value) == 2 else value
        for name, value in state.items()
    }
    return {name: value.value for name, value in bare.items() if isinstance(value, _Array)}


def _read_npz(content: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    if not all(one.filename.endswith(".npy") for one in members):
        raise BadWeightsError("it is no .npz; PyTorch's own .pth has to be saved as safetensors")
    inflated = sum(one.file_size for one in members)
    if inflated > MOST_BYTES:
        raise BadWeightsError(f"it holds {inflated:,} bytes, and at most {MOST_BYTES:,} are read")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_safetensors(content: bytes) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except SafetensorError as error:
        raise BadWeightsError(f"it is none of .pdparams, .npz and safetensors ({error})") from error
    except KeyError as error:
        raise BadWeightsError(f"its tensors are of {error}: save them as float32") from error
