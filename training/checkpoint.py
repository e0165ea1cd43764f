"""Where a killed training goes on: one .npz file, replaced in one step, nothing pickled."""

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from serving.job.errors import ServiceError, UserError
from serving.job.spec import Spec
from training.tasks.protocol import Arrays

_PROGRESS = "progress"
_PARTS = ("network", "optimizer", "best", "scaler")


class Epoch(Spec):
    """One point of the curves; no val values where every sample is trained on."""

    train_loss: float
    val_loss: float | None
    val_accuracy: float | None


class Progress(Spec):
    """Everything but the weights: epochs done, and what early stopping knows.

    step: steps done of an epoch that has not ended; lost: sum of its losses so far.
    """

    epochs: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    best_loss: float | None = None
    step: int = 0
    lost: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """State of a training after its last step. scaler: of half precision; empty in single."""

    progress: Progress
    network: Arrays
    optimizer: Arrays
    best: Arrays
    scaler: Arrays = field(default_factory=dict)


def to_bytes(state: Checkpoint) -> bytes:
    """Serialize."""
    buffer = io.BytesIO()
    arrays: dict[str, npt.NDArray[np.generic]] = {
        f"{part}/{name}": array for part in _PARTS for name, array in getattr(state, part).items()
    }
    text = state.progress.model_dump_json().encode()
    arrays[_PROGRESS] = np.frombuffer(text, dtype=np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def from_bytes(content: bytes) -> Checkpoint:
    """Read back what to_bytes wrote; ValueError where it is anything else."""
    parts: dict[str, Arrays] = {part: {} for part in _PARTS}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            progress = Progress.model_validate_json(file[_PROGRESS].tobytes())
            for key in file.files:
                part, _, name = key.partition("/")
                if name:
                    parts[part][name] = file[key]
    except (KeyError, EOFError, ValidationError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a checkpoint: {error}") from error
    return Checkpoint(progress, **parts)


def find_scratch(scratch_uri: str) -> Path:
    """Path of a training's scratch folder, file://…; UserError where it is not local."""
    parts = urlsplit(scratch_uri)
    if parts.scheme != "file":
        raise UserError(f"scratch_uri is {scratch_uri!r}; it must be a local file:///PATH.")
    return Path(unquote(parts.path))


def find_file(scratch_uri: str, key: str) -> Path:
    """Path of a training's checkpoint."""
    return find_scratch(scratch_uri) / f"checkpoint-{key[:16]}.npz"


def write(path: Path, state: Checkpoint) -> None:
    """Replace the file in one step: a kill at any moment leaves the old or the new one.

    ServiceError where the disk takes no more; the old one stays.
    """
    # By process: an older attempt may still be alive.
    draft = path.with_suffix(f".{os.getpid()}.draft")
    with explain_disk(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(to_bytes(state))
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def explain_disk(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses into a ServiceError."""
    try:
        yield
    except OSError as error:
        raise ServiceError(
            f"The training cannot write to {folder}: {error.strerror}. Make room there, then run "
            "the task again: it goes on where it was."
        ) from error


def read(path: Path) -> bytes:
    """Content of the file, empty where there is none or it is damaged."""
    if not path.is_file():
        return b""
    content = path.read_bytes()
    try:
        from_bytes(content)
    except ValueError as error:
        print(f"{path} is damaged ({error}): training starts anew.", flush=True)
        return b""
    return content


def remove_all(folder: Path) -> None:
    """Remove a training's checkpoints, and drafts that killed attempts left."""
    remove_files(folder, "checkpoint-*")


def remove_files(folder: Path, *patterns: str) -> None:
    """Remove all of a folder's files that are called so."""
    for pattern in patterns:
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
