"""Files → checked bytes, in a pool of processes with a bounded window."""

import hashlib
import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from serving.bundle import codec
from spark_jobs.importing.source import Item, RefusedFileError, Tree

CHUNK = 16


@dataclass(frozen=True)
class Picture:
    """A file's bytes and their hash; or, with empty content, why it was rejected."""

    item: Item
    sha256: str = ""
    content: bytes = b""
    rejection: str = ""


def read_picture(tree: Tree, item: Item) -> Picture:
    """Read one file and decode it whole, so that a broken one is found here."""
    if item.refusal:
        return Picture(item, rejection=item.refusal)
    try:
        content = tree.read(item.path)
        codec.decode(content)
    except (RefusedFileError, codec.BadImageError) as error:
        return Picture(item, rejection=str(error))
    except OSError as error:
        return Picture(item, rejection=f"cannot be read: {error.strerror or error}")
    return Picture(item, hashlib.sha256(content).hexdigest(), content)


def _read_chunk(tree: Tree, items: list[Item]) -> list[Picture]:
    return [read_picture(tree, item) for item in items]


def read_pictures(tree: Tree, items: Iterator[Item], processes: int) -> Iterator[Picture]:
    """Pictures in the order of the items; few chunks are in flight at a time."""
    # Not forked: the caller's threads (Arrow, MongoDB) would hold locks that the child never gets.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        window: deque[Future[list[Picture]]] = deque()
        while chunk := list(itertools.islice(items, CHUNK)):
            window.append(pool.submit(_read_chunk, tree, chunk))
            if len(window) >= 2 * processes + 1:
                yield from window.popleft().result()
        while window:
            yield from window.popleft().result()


def count_processes() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
