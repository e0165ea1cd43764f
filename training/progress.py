"""Lines about a long training, at most one a second."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.job.search import Trial

INTERVAL_S = 1.0


@dataclass
class SearchLines:
    """Print how far the search is, the best so far, and what is left of its limits; 0: no limit."""

    max_trials: int
    search_seconds: float
    _printed: float = 0.0

    def show(self, done: Sequence[Trial], best: Trial | None, seconds: float) -> None:
        """Print a line unless one was printed just now."""
        now = time.monotonic()
        if now - self._printed < INTERVAL_S:
            return
        self._printed = now
        of_all = f"/{self.max_trials}" if self.max_trials else ""
        parts = [f"trial {len(done)}{of_all}"]
        if best is not None:
            parts.append(f"best {best.accuracy:.4f} ({best.recipe.input}, {best.recipe.head})")
        if self.search_seconds:
            parts.append(f"{max(0.0, self.search_seconds - seconds):.0f} s of the budget left")
        if self.max_trials and done:
            left = max(0, self.max_trials - len(done)) * seconds / len(done)
            parts.append(f"about {left:.0f} s to the last trial")
        print("  ".join(parts), flush=True)


@dataclass
class EpochLines:
    """Print epochs as they end; the time left is for the case that nothing stops it earlier."""

    max_epochs: int
    first_epoch: int
    started: float = field(default_factory=time.monotonic)
    _printed: float = 0.0

    def show(self, number: int, train_loss: float, *, last: bool = False) -> None:
        """Print epoch `number` (from 1) unless a line was printed just now."""
        now = time.monotonic()
        if not last and now - self._printed < INTERVAL_S:
            return
        self._printed = now
        per_epoch = (now - self.started) / max(1, number - self.first_epoch)
        left = f"at most {per_epoch * (self.max_epochs - number):.0f} s left"
        print(
            f"epoch {number}/{self.max_epochs}  train loss {train_loss:.4f}  "
            + ("ended" if last else left),
            flush=True,
        )
