"""What a training makes of each sample: a scratch on each machine's disk, filled by its ranks."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from training.checkpoint import explain_disk
from training.ranks import Ranks

# Places of some samples → each place with what is made of its sample, in any order.
MakeSome = Callable[[Sequence[int]], Iterable[tuple[int, npt.NDArray[Any]]]]


def find_key(preprocessing: Preprocessing, sha256: tuple[str, ...], *decides: str) -> str:
    """Hash of what decides the samples' pixels, and what is made of them."""
    parts = (*decides, preprocessing.model_dump_json(), codec.CODEC_VERSION, *sha256)
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]


def open_shared(
    path: Path, shape: tuple[int, ...], kind: npt.DTypeLike, *, make: MakeSome, ranks: Ranks
) -> npt.NDArray[Any]:
    """An array [n, …], memory-mapped; made by a machine's ranks where it is not there.

    A killed attempt's finished array is used again. Returns when every machine has it. What fails
    for one rank's samples, on one machine, is raised on all.
    """
    here = ranks.here
    with ranks.share_errors():
        if here.broadcast(b"1" if path.is_file() else b"0") == b"0":
            _fill(path, shape, kind, make=make, ranks=here)
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    return array


def _fill(
    path: Path, shape: tuple[int, ...], kind: npt.DTypeLike, *, make: MakeSome, ranks: Ranks
) -> None:
    # Machines that share a disk, against what is usual, do not write one file.
    draft = path.with_suffix(f".{ranks.node}.draft")
    with ranks.share_errors():
        if ranks.leads:
            with explain_disk(path.parent):
                _make_room(draft, shape, kind)
    with ranks.share_errors():
        array = np.lib.format.open_memmap(draft, "r+")
        for place, one in make(range(ranks.rank, shape[0], ranks.size)):
            array[place] = one
        array.flush()
    if ranks.leads:
        draft.replace(path)
    ranks.wait()


def _make_room(draft: Path, shape: tuple[int, ...], kind: npt.DTypeLike) -> None:
    """Make a file of its full size: a disk found to be full only later would end the process."""
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(draft, "w+", kind, shape).flush()
        with draft.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, draft.stat().st_size)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
