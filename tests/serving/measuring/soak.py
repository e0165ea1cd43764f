"""Minutes of load in short runs, and what they leave in the memory of the server's processes."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.serving.measuring.load import Answers, run_open

# What ./modelmill bench serve does unless told otherwise, and what the tests do.
SHORT_MINUTES = 5.0
# Before the first look: pools, caches and allocators fill.
WARM_SECONDS = 20.0
RUN_SECONDS = 10.0
# Of the resident memory, from the first look to the last.
MAX_GROWTH = 0.02


@dataclass(frozen=True)
class Memory:
    """Resident bytes of one process, after the warm-up and at the end."""

    pid: int
    first: int
    last: int

    @property
    def growth(self) -> float:
        """As a share of what it was."""
        return self.last / self.first - 1


def read_memory(pid: int) -> int:
    """Resident bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def list_processes(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += list_processes(int(child))
    return found


def soak(
    port: int, pid: int, picture: bytes, *, minutes: float, clients: int, rate: float
) -> tuple[Answers, list[Memory]]:
    """Ask so many times a second, in runs of RUN_SECONDS that open their connections anew.

    pid: the server's; those of its children are looked at, too. A process that ended meanwhile
    raises FileNotFoundError.
    """
    run_open(port, picture, clients, rate, WARM_SECONDS)
    first = {one: read_memory(one) for one in list_processes(pid)}
    until = time.monotonic() + 60 * minutes
    total = Answers()
    while time.monotonic() < until:
        found = run_open(port, picture, clients, rate, RUN_SECONDS)
        total.seconds += found.seconds
        total.refused += found.refused
        total.failures += found.failures
        total.elapsed += found.elapsed
    return total, [Memory(one, size, read_memory(one)) for one, size in first.items()]
