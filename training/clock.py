"""Whether a time budget has room for one more epoch."""

import time
from dataclasses import dataclass

from training.checkpoint import Progress


@dataclass
class Clock:
    """Whether another epoch would leave too little for the final training; 0 seconds: no limit.

    again: how long an epoch of that takes, in epochs of this.
    """

    seconds: float
    again: float
    over: bool = False

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._started = self._began

    def start(self) -> None:
        """From here on epochs are trained."""
        self._started = time.monotonic()
        self._epochs = 0

    def is_over(self, progress: Progress) -> bool:
        """Asked after each epoch."""
        self._epochs += 1
        now = time.monotonic()
        each = (now - self._started) / self._epochs
        still = each * (1 + self.again * (len(progress.epochs) + 1))
        self.over = bool(self.seconds) and now - self._began + still > self.seconds
        return self.over
