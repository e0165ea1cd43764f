"""When to stop: pure bookkeeping over validation losses."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class EarlyStopping:
    """State after some epochs. Epochs count from 1; best_epoch 0: none was finite yet."""

    patience: int
    min_delta: float
    best_loss: float = math.inf
    best_epoch: int = 0
    epoch: int = 0

    def after(self, val_loss: float) -> "EarlyStopping":
        """State after one more epoch: better only if lower by more than min_delta."""
        epoch = self.epoch + 1
        if val_loss < self.best_loss - self.min_delta:
            return replace(self, epoch=epoch, best_loss=val_loss, best_epoch=epoch)
        return replace(self, epoch=epoch)

    @property
    def improved(self) -> bool:
        """The last epoch is the best so far."""
        return self.epoch > 0 and self.best_epoch == self.epoch

    @property
    def exhausted(self) -> bool:
        """No better epoch within the patience."""
        return self.epoch - self.best_epoch >= self.patience
