import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from training.backbones import weights
from training.backbones.weights import BadWeightsError, RestrictedUnpickler, read_torch_weights


class Payload:
    """Would make a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


def write_legacy(path: Path, state: object) -> Path:
    with path.open("wb") as file:
        for part in (weights.MAGIC, weights.PROTOCOL, {}, state, []):
            pickle.dump(part, file, protocol=2)
    return path


def test_code_in_a_weight_file_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "made-by-the-file"
    file = write_legacy(tmp_path / "evil.pth", OrderedDict(weight=Payload(target)))
    with pytest.raises(BadWeightsError, match=r"mkdir, which is not allowed"):
        read_torch_weights(file)
    assert not target.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "torch load", "numpy.core.multiarray _reconstruct", "torch Size"]
)
def test_only_three_globals_are_known(name: str) -> None:
    module, attribute = name.split()
    with pytest.raises(BadWeightsError, match="not allowed"):
        RestrictedUnpickler(io.BytesIO(), weights.KNOWN).find_class(module, attribute)


def test_another_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04 zip", pickle.dumps(7)):
        (tmp_path / "other.pth").write_bytes(content)
        with pytest.raises(BadWeightsError):
            read_torch_weights(tmp_path / "other.pth")


def test_a_tensor_outside_its_storage_is_refused() -> None:
    import numpy as np

    tensor = weights._Tensor("0", offset=1, shape=(2, 2), strides=(2, 1))
    with pytest.raises(BadWeightsError, match="outside"):
        weights._view(tensor, np.zeros(4, np.float32))
