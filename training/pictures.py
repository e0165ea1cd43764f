"""Pictures as the network is given them, decoded once: the trainer's scratch on disk."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from serving.bundle import codec
from serving.bundle.codec import Pixels
from serving.job.inputs import Input
from training import checkpoint
from training.ranks import Ranks
from training.shared_scratch import find_key, open_shared
from training.tasks.protocol import ReadContents

PICTURES_PATTERN = "pictures-*"


def open_pictures(
    given: Input, *, sha256: tuple[str, ...], contents: ReadContents, ranks: Ranks, folder: Path
) -> Pixels:
    """Pixels of all samples [n, side, side, 3], memory-mapped; made by a machine's ranks.

    A killed attempt's finished pictures are used again.
    """
    side = given.preprocessing.size

    def make(places: Sequence[int]) -> Iterable[tuple[int, Pixels]]:
        for place, content in contents(places):
            yield place, codec.prepare(content, given.preprocessing)

    path = folder / f"pictures-{find_key(given.preprocessing, sha256)}.npy"
    return open_shared(path, (len(sha256), side, side, 3), np.uint8, make=make, ranks=ranks)


def clear_pictures(folder: Path) -> None:
    """Remove them, and what a killed attempt left of them."""
    checkpoint.remove_files(folder, PICTURES_PATTERN)
