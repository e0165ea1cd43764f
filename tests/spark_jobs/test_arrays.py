"""The same arrays as pyarrow's own, and no pandas for them."""

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_jobs.arrays import make_array

LISTS = pa.list_(pa.float32())
STRUCT = pa.struct([("a", pa.int32()), ("b", pa.binary())])
TWO = np.array([1.5, -2.0], np.float32)
CASES: list[tuple[list[Any], pa.DataType]] = [
    ([1, None, -3], pa.int32()),
    ([2**40, 0], pa.int64()),
    ([True, None, False] * 4, pa.bool_()),
    ([0.5, None], pa.float64()),
    ([None, 0.1], pa.float32()),
    (["a", None, "", "键盘"], pa.string()),
    ([b"", b"\x00\xff", None], pa.binary()),
    ([TWO, None, np.empty(0, np.float32), TWO], LISTS),
    ([[1.0]] * 9 + [None], LISTS),
    ([{"a": 1, "b": b"x"}, None, {"a": None, "b": b""}], STRUCT),
    ([["a", "键盘"], None, [], [None, ""]], pa.list_(pa.string())),
]


@pytest.mark.parametrize(("values", "kind"), CASES)
def test_equal_to_pyarrows(values: list[Any], kind: pa.DataType) -> None:
    for given in (values, values[:1], [], [None] * 3):
        made = make_array(given, kind)
        made.validate(full=True)
        assert made.equals(pa.array(given, kind))
        assert made.null_count == sum(value is None for value in given)


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="date32"):
        make_array([1], pa.date32())


def test_pandas_stays_away() -> None:
    code = (
        "import sys, pyarrow as pa; from spark_jobs.arrays import make_array; "
        "make_array(['a', None], pa.string()); make_array([1], pa.int32()); "
        "make_array([[1.0]], pa.list_(pa.float32())); "
        "make_array([{'a': 1}, None], pa.struct([('a', pa.int32())])); "
        "print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
