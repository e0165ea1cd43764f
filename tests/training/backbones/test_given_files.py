"""Weight files that a user brings: three formats, and what is no such file."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import paddle
import pytest
from safetensors.numpy import save

from training.backbones import given_files
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


def to_zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


class Unfinished:
    """Unpickled as an array that never gets its numbers."""

    def __reduce__(self) -> tuple[Any, ...]:
        reconstruct = np.zeros(1).__reduce__()[0]
        return (reconstruct, (np.ndarray, (0,), b"b"))


def to_brain_floats() -> bytes:
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + bytes(4)


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
    with pytest.raises(BadWeightsError, match="Object arrays cannot be loaded"):
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
        pickle.dumps({"a": Unfinished()}),
        pickle.dumps({1: ARRAYS["norm._mean"]}),
        to_npz(ARRAYS)[:-30],
        to_zip({"a.npy": b"no header"}),
        to_npz({"a": np.array(["text"])}),
        to_npz({"a": np.array([1j])}),
        to_brain_floats(),
    ],
    ids=[
        *("empty", "zip", "text", "number", "nothing", "strings", "cut", "no numbers", "a number"),
        *("cut npz", "no npy", "texts", "complex", "bfloat16"),
    ],
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(BadWeightsError):
        read_given_weights(content)


def test_pytorch_s_own_files_are_known() -> None:
    with pytest.raises(BadWeightsError, match=r"PyTorch's own \.pth has to be saved"):
        read_given_weights(to_zip({"archive/data.pkl": b"\x80", "archive/version": b"3"}))


def test_what_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_files, "MOST_BYTES", 1000)
    content = to_zip({"a.npy": bytes(2000)})
    assert len(content) < 1000
    with pytest.raises(BadWeightsError, match=r"holds 2,000 bytes, and at most 1,000"):
        read_given_weights(content)
