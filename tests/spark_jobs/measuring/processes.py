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


def read_cpu_seconds() -> float:
    """User and system time of the tree, and of its children that have ended."""
    ticks = sum(sum(map(int, fields[11:15])) for fields in _read_stats().values())
    return ticks / os.sysconf("SC_CLK_TCK")


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
    """Do it, once."""
    begin, cpu = time.monotonic(), read_cpu_seconds()
    work()
    return Cost(time.monotonic() - begin, read_cpu_seconds() - cpu)


@contextmanager
def watch_memory() -> Iterator[list[int]]:
    """A list whose only element is the highest memory so far."""
    peak, done = [0], threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLING_SECONDS):
            peak[0] = max(peak[0], read_memory())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
