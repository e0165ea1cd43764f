import io
from pathlib import Path

import numpy as np
import pytest

from serving.job.errors import UserError
from training import checkpoint
from training.checkpoint import Checkpoint, Epoch, Progress


def make(value: float) -> Checkpoint:
    weights = {"linear.weight": np.full((2, 3), value, np.float32)}
    epoch = Epoch(train_loss=0.1 + 0.2, val_loss=1 / 3, val_accuracy=0.5)
    return Checkpoint(
        Progress(epochs=(epoch, epoch), best_epoch=1, best_loss=1 / 3),
        network=weights,
        optimizer={"head_weight_moment1_0": np.arange(6, dtype=np.float32)},
        best=weights,
        scaler={"scale": np.array([2.0**16], np.float32)},
    )


def test_all_comes_back_bit_for_bit() -> None:
    state = make(1 / 3)
    back = checkpoint.from_bytes(checkpoint.to_bytes(state))
    assert back.progress == state.progress
    for part in ("network", "optimizer", "best", "scaler"):
        for name, array in getattr(state, part).items():
            assert getattr(back, part)[name].tobytes() == array.tobytes()
    assert back.scaler.keys() == state.scaler.keys()


def test_a_new_one_replaces_the_old_one(tmp_path: Path) -> None:
    path = checkpoint.find_file(tmp_path.as_uri(), "ab" * 32)
    assert checkpoint.read(path) == b""
    checkpoint.write(path, make(1))
    checkpoint.write(path, make(2))
    assert checkpoint.from_bytes(checkpoint.read(path)).network["linear.weight"][0, 0] == 2
    assert list(tmp_path.iterdir()) == [path]
    checkpoint.remove_all(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_counts_as_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checkpoint-0.npz"
    path.write_bytes(checkpoint.to_bytes(make(1))[:-40])
    assert checkpoint.read(path) == b""
    assert "training starts anew" in capsys.readouterr().out


def test_pickled_objects_are_refused() -> None:
    file = io.BytesIO()
    np.savez(file, progress=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        checkpoint.from_bytes(file.getvalue())


def test_scratch_must_be_local() -> None:
    with pytest.raises(UserError, match="file:///PATH"):
        checkpoint.find_file("hdfs://localhost/scratch", "ab")
