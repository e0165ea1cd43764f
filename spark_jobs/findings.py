"""What stages found beyond their rows, for the report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from spark_jobs.report_models import Balance, NearDuplicates, SideFindings


@dataclass
class Findings:
    """Filled in by the stages as they run; None: that stage did not run.

    seconds: wall time of each step that was timed.
    """

    near_duplicates: NearDuplicates | None = None
    sides: SideFindings | None = None
    balance: Balance | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time_step(self, step: str) -> Iterator[None]:
        """Add to a step's seconds; what is timed inside it is not counted twice."""
        started, before = time.monotonic(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - before
            spent = time.monotonic() - started - inside
            self.seconds[step] = self.seconds.get(step, 0.0) + spent
