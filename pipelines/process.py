"""Ends a job's whole process group, and makes the group end with its parent."""

import os
import shutil
import signal
import time
from collections.abc import Sequence

# Airflow's supervisor kills a task five seconds after it asked it to end.
GRACE_S = 3.5


def tie_to_parent(argv: Sequence[str]) -> list[str]:
    """Prefix an argv so that the kernel ends it when the process that started it dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else list(argv)


def end_group(group: int, grace_s: float = GRACE_S) -> None:
    """SIGTERM to a process group, SIGKILL to what is left of it after the grace time."""
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 1.0)):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            if not is_group_alive(group):
                return
            time.sleep(0.05)


def is_group_alive(group: int) -> bool:
    """True while a process of the group runs; one that only waits to be reaped does not."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - asked twenty times a second
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                # The name in parentheses may hold spaces, and half a letter: it is cut at 15 bytes.
                state, _, pgrp = file.read().rpartition(b")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in (b"Z", b"X"):
            return True
    return False
