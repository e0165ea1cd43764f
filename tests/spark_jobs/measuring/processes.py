"""What this process and all that it started cost."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SAMPLING_SECONDS = 0.5


class Cost(NamedTuple):
    """Of this process and everything below it."""

    seconds: float
    cpu_seconds: float


def _read_stats() -> dict[int, list[str]]:
    """Fields of /proc/PID/stat from the state on, proc(5), of the whole tree."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            stats[int(entry.name)] = text.rpartition(")")[2].split()
    found = {os.getpid()}
    while fresh := {pid for pid, fields in stats.items() if int(fields[1]) in found} - found:
        found |= fresh
    return {pid: stats[pid] for pid in found if pid in stats}


def _read_ticks() -> dict[tuple[int, str], int]:
    """User and system time of each process of the tree, by its number and its start."""
    return {(pid, stat[19]): int(stat[11]) + int(stat[12]) for pid, stat in _read_stats().items()}


def _read_share(pid: int) -> int:
    """Proportional set size in bytes, proc(5): of what k processes share, a kth."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def read_memory() -> int:
    """Resident bytes of the tree; pages that its processes share count once."""
    return sum(map(_read_share, _read_stats()))


def measure(work: Callable[[], object]) -> Cost:
    """Do it, once.

    What a process took is what it was last seen with: Spark lets some of its workers go unmourned,
    whose times then stand in no parent's account.
    """
    before = _read_ticks()
    taken, begin = dict(before), time.monotonic()
    with _sample(lambda: taken.update(_read_ticks())):
        work()
        seconds = time.monotonic() - begin
    taken |= _read_ticks()
    ticks = sum(spent - before.get(one, 0) for one, spent in taken.items())
    return Cost(seconds, ticks / os.sysconf("SC_CLK_TCK"))


@contextmanager
def _sample(look: Callable[[], object]) -> Iterator[None]:
    """Look every SAMPLING_SECONDS, in a thread."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(SAMPLING_SECONDS):
            look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def watch_memory() -> Iterator[list[int]]:
    """A list whose only element is the highest memory so far."""
    peak = [0]

    def look() -> None:
        peak[0] = max(peak[0], read_memory())

    with _sample(look):
        yield peak
