"""Weight files that a user brings: three formats, and what is no such file."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import paddle
import pytest
from safetensors.numpy import save

from training.backbones.given_files import read_given_weights
from training.backbones.weights import Array, BadWeightsError

ARRAYS: dict[str, Array] = {
    "conv.weight": np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32),
    "norm._mean": np.arange(4, dtype=np.float32),
}


class Payload:
    """Would make a folder when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


def to_npz(arrays: dict[str, Array]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def to_paddle(arrays: dict[str, Array], protocol: Literal[2, 4] = 4) -> bytes:
    file = io.BytesIO()
    tensors = {name: paddle.to_tensor(array) for name, array in arrays.items()}
    paddle.save(tensors, file, protocol=protocol)
    return file.getvalue()


@pytest.mark.parametrize(
    "write",
    [to_npz, save, to_paddle, lambda arrays: to_paddle(arrays, 2), pickle.dumps],
    ids=["npz", "safetensors", "paddle", "paddle's older", "arrays"],
)
def test_each_format_gives_the_arrays(write: Callable[[dict[str, Array]], bytes]) -> None:
    found = read_given_weights(write(ARRAYS))
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_transposed_array_is_read_as_it_was() -> None:
    turned = {"a": np.asfortranarray(ARRAYS["conv.weight"])}
    np.testing.assert_array_equal(read_given_weights(to_paddle(turned))["a"], turned["a"])


def test_code_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "made-by-the-file"
    with pytest.raises(BadWeightsError, match="mkdir, which is not allowed"):
        read_given_weights(pickle.dumps({"weight": Payload(target)}))
    hidden = to_npz({"weight": np.array([Payload(target)], dtype=object)})
    with pytest.raises(BadWeightsError, match="readable"):
        read_given_weights(hidden)
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 zip",
        b"weights",
        pickle.dumps(7),
        pickle.dumps({}),
        pickle.dumps({"a": np.array(["text"])}),
        to_paddle(ARRAYS)[:-40],
    ],
    ids=["empty", "zip", "text", "number", "nothing", "strings", "cut"],
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(BadWeightsError):
        read_given_weights(content)
