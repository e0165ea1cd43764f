"""Read PyTorch's legacy weight files without PyTorch and without trusting them.

Format: torch.save with _use_new_zipfile_serialization=False. Four pickles (magic number, protocol
version, system, the state dict), a pickle with the storages' keys, then each storage as an int64
count and its little-endian values.
"""

import pickle  # only through RestrictedUnpickler
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
STORAGE_TYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}

Array = npt.NDArray[Any]


class BadWeightsError(ValueError):
    """The file is no weight file of the expected kind; the text says why."""


@dataclass(frozen=True)
class _StorageType:
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor lies: a view into a storage, in units of elements."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickler that knows a few globals: module and name of each → what stands in for it.

    Any other, which is all that could run code, raises BadWeightsError.
    """

    def __init__(self, file: BinaryIO, known: Mapping[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(file)
        self.known = known

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Give the stand-in for one of the allowed globals."""
        if (module, name) not in self.known:
            raise BadWeightsError(f"the weight file asks for {module}.{name}, which is not allowed")
        return self.known[module, name]


def _rebuild_tensor(
    key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(key, offset, shape, strides)


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **{("torch", name): partial(_StorageType, kind) for name, kind in STORAGE_TYPES.items()},
}


class _TorchUnpickler(RestrictedUnpickler):
    """Notes the types of the storages that follow the pickles."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, KNOWN)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def persistent_load(self, reference: Any) -> str:
        """Note a storage's type and give its key."""
        kind, storage_type, key, *_ = reference
        if kind != "storage":
            raise BadWeightsError(f"the weight file refers to a {kind!r}; only storages are known")
        self.dtypes[key] = storage_type().dtype
        return str(key)


def _read_pickle(file: BinaryIO) -> tuple[Any, dict[str, np.dtype[Any]]]:
    reader = _TorchUnpickler(file)
    try:
        return reader.load(), reader.dtypes
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError) as error:
        raise BadWeightsError(f"not a weight file: {error}") from error


def _read_storages(
    file: BinaryIO, keys: list[str], dtypes: dict[str, np.dtype[Any]]
) -> dict[str, Array]:
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        content = file.read(count * dtypes[key].itemsize)
        if len(content) != count * dtypes[key].itemsize:
            raise BadWeightsError("the weight file is cut short")
        storages[key] = np.frombuffer(content, dtype=dtypes[key])
    return storages


def _view(tensor: _Tensor, storage: Array) -> Array:
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    if min(tensor.shape, default=1) < 1 or tensor.offset < 0 or last >= storage.size:
        raise BadWeightsError(f"a tensor of shape {tensor.shape} lies outside its storage")
    strides = tuple(step * storage.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.shape, strides, writeable=False
    ).copy()


def read_torch_weights(path: Path) -> dict[str, Array]:
    """State dict of a legacy PyTorch file: name → array. Raises BadWeightsError."""
    with path.open("rb") as file:
        for wanted in (MAGIC, PROTOCOL):
            found, _ = _read_pickle(file)
            if found != wanted:
                raise BadWeightsError(f"{path.name} is no legacy PyTorch file: {found!r}")
        _read_pickle(file)
        state, dtypes = _read_pickle(file)
        keys, _ = _read_pickle(file)
        if not isinstance(state, OrderedDict) or set(keys) != set(dtypes):
            raise BadWeightsError(f"{path.name} holds no state dict")
        storages = _read_storages(file, keys, dtypes)
    return {
        name: _view(tensor, storages[tensor.key])
        for name, tensor in state.items()
        if isinstance(tensor, _Tensor)
    }
