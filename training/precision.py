"""Steps of the optimizer: in single precision, or on cards in half."""

import contextlib
from typing import cast

import numpy as np
import paddle

from training.tasks.protocol import Arrays

# Steps left out until Paddle lowers the scale itself: what it prints then fails with NumPy 2.4.
NEVER = 2**31


class Stepper:
    """Makes steps. halves: compute in half precision, where a card does.

    The loss is scaled then, so that small gradients do not vanish (Micikevicius et al. 2018).
    """

    def __init__(self, optimizer: paddle.optimizer.Optimizer, *, halves: bool) -> None:
        self._optimizer = optimizer
        self._scaler = paddle.amp.GradScaler(decr_every_n_nan_or_inf=NEVER) if halves else None

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
            self._lower_scale()
        self._optimizer.clear_grad()

    def _lower_scale(self) -> None:
        """After a step that was left out, since gradients had grown beyond half precision."""
        if self._scaler is None or not self._scaler.is_enable():
            return
        state = self._scaler.state_dict()
        if state["decr_count"]:
            state["scale"] = state["scale"] * state["decr_ratio"]
            state["decr_count"] = 0
            self._scaler.load_state_dict(state)

    def copy_state(self) -> Arrays:
        """How the loss is scaled, and since how many steps; empty in single precision."""
        if self._scaler is None or not self._scaler.is_enable():
            return {}
        state = self._scaler.state_dict()
        found = {"scale": state["scale"], "incr_count": state["incr_count"]}
        return {name: np.array(value, np.float32) for name, value in found.items()}

    def set_state(self, arrays: Arrays) -> None:
        """Put back what copy_state gave; nothing, where that was none."""
        if self._scaler is not None and arrays:
            state = self._scaler.state_dict()
            # Its type says that it is a tensor; what Paddle gives, and takes, is an array.
            state["scale"] = cast(paddle.Tensor, arrays["scale"])
            state["incr_count"] = int(arrays["incr_count"])
            self._scaler.load_state_dict(state)
