"""Steps of the optimizer: in single precision, or on cards in half."""

import contextlib

import paddle


class Stepper:
    """Makes steps. halves: compute in half precision, where a card does.

    The loss is scaled then, so that small gradients do not vanish (Micikevicius et al. 2018).
    """

    def __init__(self, optimizer: paddle.optimizer.Optimizer, *, halves: bool) -> None:
        self._optimizer = optimizer
        self._scaler = paddle.amp.GradScaler() if halves else None

    def context(self) -> contextlib.AbstractContextManager[None]:
        """Around what is computed for a step."""
        if self._scaler is None:
            return contextlib.nullcontext()
        context: contextlib.AbstractContextManager[None] = paddle.amp.auto_cast()
        return context

    def step(self, loss: paddle.Tensor) -> None:
        """Make one step down a loss."""
        if self._scaler is None:
            loss.backward()
            self._optimizer.step()
        else:
            self._scaler.scale(loss).backward()
            self._scaler.step(self._optimizer)
            self._scaler.update()
        self._optimizer.clear_grad()
