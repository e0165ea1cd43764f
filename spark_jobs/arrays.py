"""Arrow arrays from Python values, without pandas.

pa.array, pa.scalar and from_pylist import pandas before they look at a value: more than half a
second of each process that Spark starts, the driver included.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_NUMBERS: dict[pa.DataType, type[np.generic]] = {
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
}
_VECTORS = pa.list_(pa.float32())
_MAX_OFFSET = 2**31 - 1


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    present = np.fromiter((value is not None for value in values), np.bool_, len(values))
    return None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))


def _offsets(lengths: npt.NDArray[np.int64]) -> pa.Buffer:
    ends = np.concatenate(([0], np.cumsum(lengths)))
    if ends[-1] > _MAX_OFFSET:
        raise OverflowError(f"{ends[-1]} bytes or values are too many for one Arrow array")
    return pa.py_buffer(ends.astype(np.int32))


def make_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Numbers, truths, texts, bytes, lists, structs; None is null. Equal to pa.array's."""
    count, validity = len(values), _validity(values)
    if kind in _NUMBERS:
        numbers = np.array([0 if value is None else value for value in values], _NUMBERS[kind])
        return pa.Array.from_buffers(kind, count, [validity, pa.py_buffer(numbers)])
    if kind == pa.bool_():
        truths = np.fromiter((bool(value) for value in values), np.bool_, count)
        packed = pa.py_buffer(np.packbits(truths, bitorder="little"))
        return pa.Array.from_buffers(kind, count, [validity, packed])
    lengths: npt.NDArray[np.int64]
    if kind == _VECTORS:
        vectors = [np.asarray(() if value is None else value, np.float32) for value in values]
        lengths = np.fromiter(map(len, vectors), np.int64, count)
        flat = np.concatenate(vectors) if vectors else np.empty(0, np.float32)
        child = pa.Array.from_buffers(pa.float32(), len(flat), [None, pa.py_buffer(flat)])
        return pa.Array.from_buffers(kind, count, [validity, _offsets(lengths)], children=[child])
    if pa.types.is_list(kind):
        lengths = np.fromiter((len(value or ()) for value in values), np.int64, count)
        child = make_array([one for value in values for one in value or ()], kind.value_type)
        return pa.Array.from_buffers(kind, count, [validity, _offsets(lengths)], children=[child])
    if pa.types.is_struct(kind):
        children = [
            make_array(
                [None if value is None else value[field.name] for value in values], field.type
            )
            for field in kind
        ]
        return pa.Array.from_buffers(kind, count, [validity], children=children)
    if kind not in (pa.string(), pa.binary()):
        raise TypeError(f"no arrays of {kind} are made here")
    parts = [
        b"" if value is None else value.encode() if isinstance(value, str) else value
        for value in values
    ]
    lengths = np.fromiter(map(len, parts), np.int64, count)
    content = pa.py_buffer(b"".join(parts))
    return pa.Array.from_buffers(kind, count, [validity, _offsets(lengths), content])


def wrap_numbers(
    values: npt.NDArray[Any], kind: pa.DataType, present: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """A NumPy vector as an array of numbers; null where it is not present."""
    numbers = pa.py_buffer(np.ascontiguousarray(values, _NUMBERS[kind]))
    validity = None
    if present is not None and not present.all():
        validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, numbers])


def read_matrix(
    column: pa.Array, width: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Vectors of float32, all of one width: which rows have one, [n], and those, [m, width]."""
    there = np.fromiter(column.is_valid().to_pylist(), np.bool_, len(column))
    flat = column.flatten()
    values = np.frombuffer(flat.buffers()[1] or b"", np.float32)
    return there, values[flat.offset : flat.offset + len(flat)].reshape(-1, width)
