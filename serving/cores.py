"""How many CPU cores this process may really use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def count_cores(cgroup: Path = CGROUP) -> int:
    """The smaller of the CPU affinity and the control group's quota; at least 1.

    Threads beyond a quota do not run faster: the kernel stops them all until the next period.
    """
    cores = len(os.sched_getaffinity(0))
    quota = _read_quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def _read_quota(cgroup: Path) -> float | None:
    """Cores as a fraction, by version 2's cpu.max or version 1's pair of files."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if limit in ("max", "-1") or not limit.isdigit() or not period.isdigit():
        return None
    return int(limit) / max(1, int(period))
