"""How many epochs a time budget has room for, over all attempts of a training."""

import os
import time
from pathlib import Path

from pydantic import ValidationError

from serving.job.spec import Spec
from training.checkpoint import Progress

CLOCK_PATTERN = "clock-*"


class Used(Spec):
    """What earlier attempts left; horizon, over: what they found.

    key: hash of all that decides the training.
    """

    key: str
    seconds: float
    horizon: int | None = None
    over: bool = False


class Clock:
    """How much of some seconds is left, 0: no limit; a retry goes on with what was left.

    again: how long an epoch of the final training takes, in epochs of this.
    """

    def __init__(self, path: Path, key: str, seconds: float, again: float) -> None:
        self._path, self._key, self._seconds, self._again = path, key, seconds, again
        used = _read(path, key)
        self._before, self._horizon = used.seconds, used.horizon
        self._began = time.monotonic()
        self._started, self._each = self._began, 0.0
        self.over = used.over

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self._seconds)

    @property
    def used(self) -> float:
        """Seconds, those of killed attempts, too."""
        return self._before + time.monotonic() - self._began

    def plan(self, each: float, most: int) -> int:
        """How many epochs of `each` seconds there is room for, at most; the same at a retry."""
        if self._horizon is None and self._seconds:
            room = (self._seconds - self.used) / (each * (1 + self._again))
            self._horizon = max(0, min(most, int(room)))
        elif self._horizon is None:
            self._horizon = most
        self.save()
        self._started, self._each = time.monotonic(), each
        return self._horizon

    def begin(self) -> None:
        """Another training like the planned one starts."""
        self._started = time.monotonic()

    def has_room(self, epochs: int) -> bool:
        """Whether another training of so many epochs, and the final one, keep the limit."""
        still = self._each * epochs * (1 + self._again)
        return self.limited and not self.over and self.used + still <= self._seconds

    def is_over(self, progress: Progress, trained: int) -> bool:
        """Whether one more epoch would leave too little for the final training.

        trained: whole epochs of this attempt alone; 0 before the first one of a retry, which begins
        where this is asked.
        """
        if trained:
            self._each = (time.monotonic() - self._started) / trained
        else:
            self.begin()
        still = self._each * (1 + self._again * (len(progress.epochs) + 1))
        self.over = self.over or (self.limited and self.used + still > self._seconds)
        self.save()
        return self.over

    def save(self) -> None:
        """Write down what is used, for a retry."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        used = Used(key=self._key, seconds=self.used, horizon=self._horizon, over=self.over)
        draft = self._path.with_suffix(f".{os.getpid()}.draft")
        draft.write_text(used.model_dump_json(), encoding="utf-8")
        draft.replace(self._path)


def find_clock_file(scratch: Path, depth: str) -> Path:
    """Path of a depth's clock."""
    return scratch / f"clock-{depth}.json"


def _read(path: Path, key: str) -> Used:
    try:
        used = Used.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Used(key=key, seconds=0)
    return used if used.key == key else Used(key=key, seconds=0)
