"""Lines about a long training, at most one a second."""

import time
from dataclasses import dataclass, field

from training.checkpoint import Epoch

INTERVAL_S = 1.0


@dataclass
class ProgressLines:
    """Print epochs as they end; the time left is for the case that nothing stops it earlier."""

    max_epochs: int
    first_epoch: int
    started: float = field(default_factory=time.monotonic)
    _printed: float = 0.0

    def show(self, number: int, epoch: Epoch, best_epoch: int, *, last: bool = False) -> None:
        """Print epoch `number` (from 1) unless a line was printed just now."""
        now = time.monotonic()
        if not last and now - self._printed < INTERVAL_S:
            return
        self._printed = now
        per_epoch = (now - self.started) / max(1, number - self.first_epoch)
        left = f"at most {per_epoch * (self.max_epochs - number):.0f} s left"
        print(
            f"epoch {number}/{self.max_epochs}  train loss {epoch.train_loss:.4f}  "
            f"val loss {epoch.val_loss:.4f}  val accuracy {epoch.val_accuracy:.4f}  "
            f"best epoch {best_epoch}  " + ("stopped" if last else left),
            flush=True,
        )
