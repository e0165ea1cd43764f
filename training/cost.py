"""What a training took, over all its processes."""

import resource
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from serving.job.search import Cost
from training.ranks import Ranks

# ru_maxrss counts kibibytes, on macOS bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass
class Meter:
    """Counts from when it is made, and CPU-seconds from the process' start."""

    started: float = field(default_factory=time.monotonic)

    def read(self, ranks: Ranks) -> Cost:
        """Sum over the group; every rank must ask. GPU-seconds: ranks' time on their cards."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        mine = np.zeros((ranks.size, 3))
        mine[ranks.rank] = (
            used.ru_utime + used.ru_stime,
            time.monotonic() - self.started if ranks.device == "gpu" else 0.0,
            used.ru_maxrss * MAXRSS_UNIT / 1e6,
        )
        # The leading rank has scored out of fold meanwhile.
        ranks.wait()
        every = ranks.sum(mine)
        return Cost(
            cpu_seconds=round(float(every[:, 0].sum()), 1),
            gpu_seconds=round(float(every[:, 1].sum()), 1),
            peak_mb=round(float(every[:, 2].max()), 1),
        )
