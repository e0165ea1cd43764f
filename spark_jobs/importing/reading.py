"""Files → checked bytes, in a pool of processes with a bounded window."""

import hashlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from serving.bundle import codec
from spark_jobs.importing.items import Item
from spark_jobs.importing.source import RefusedFileError, Tree, explain_failure

CHUNK = 16
CHUNK_BYTES = 8_000_000


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
    except RefusedFileError as error:
        return Picture(item, rejection=str(error))
    except OSError as error:
        return Picture(item, rejection=explain_failure(error))
    return check_picture(item, content)


def check_picture(item: Item, content: bytes) -> Picture:
    """Decode the bytes whole, so that a broken picture is found here."""
    try:
        codec.decode(content)
    except codec.BadImageError as error:
        return Picture(item, rejection=str(error))
    return Picture(item, hashlib.sha256(content).hexdigest(), content)


def _read_chunk(tree: Tree, items: list[Item]) -> tuple[list[Picture], list[Item]]:
    """Pictures, and the items that are left once those hold CHUNK_BYTES."""
    pictures: list[Picture] = []
    held = 0
    for number, item in enumerate(items):
        if held >= CHUNK_BYTES:
            return pictures, items[number:]
        pictures.append(read_picture(tree, item))
        held += len(pictures[-1].content)
    return pictures, []


def _end_with_parent() -> None:
    """End this process when the one that started it has died, however that happened.

    A pool's worker holds both ends of the queue that it reads from, so that it would wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def read_pictures(tree: Tree, items: Iterator[Item], processes: int) -> Iterator[Picture]:
    """Pictures in the order of the items; few chunks, and so few bytes, are in flight at a time."""
    # Not forked: the caller's threads (Arrow, MongoDB) would hold locks that the child never gets.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        window: deque[Future[tuple[list[Picture], list[Item]]]] = deque()

        def pop() -> Iterator[Picture]:
            pictures, left = window.popleft().result()
            if left:
                window.appendleft(pool.submit(_read_chunk, tree, left))
            yield from pictures

        while chunk := list(itertools.islice(items, CHUNK)):
            window.append(pool.submit(_read_chunk, tree, chunk))
            while len(window) >= 2 * processes + 1:
                yield from pop()
        while window:
            yield from pop()


def count_processes() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
