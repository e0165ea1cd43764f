"""Pictures → scores on a few threads: decoded one by one, the network in batches.

Nothing here knows HTTP or asyncio: futures are the border.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Row = npt.NDArray[np.float32]
Prepare = Callable[[], Row]
Score = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


class ExpiredError(TimeoutError):
    """The picture's time was over before its turn came."""


class Watcher(Protocol):
    """Hears of the work, from any thread."""

    def observe_decode(self, seconds: float) -> None: ...

    def observe_batch(self, pictures: int, seconds: float) -> None: ...


@dataclass
class _Item:
    prepare: Prepare
    deadline: float
    future: "Future[Row]" = field(default_factory=Future)
    row: Row | None = None
    # Of time.monotonic.
    decoded_at: float = 0.0

    def succeed(self, scores: Row) -> None:
        with suppress(InvalidStateError):  # cancelled: nobody waits any more
            self.future.set_result(scores)

    def fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):
            self.future.set_exception(error)

    def is_due(self) -> bool:
        """False, and the waiter told, where it came too late or is not wanted any more."""
        if self.future.cancelled():
            return False
        if time.monotonic() > self.deadline:
            self.fail(ExpiredError("its time was over before its turn came"))
            return False
        return True


class Batcher:
    """First come, first served, on one thread a core.

    A thread that is free decodes the next picture, or takes what is decoded to the network: as
    soon as that is a full batch, or nothing is left to decode, or the first of it has waited for
    max_wait_seconds. Nobody idles for company, so that a lone caller never waits for any. Stages
    with threads of their own were slower: more threads than cores take each other's turns and
    caches.
    """

    def __init__(
        self,
        score: Score,
        *,
        threads: int,
        max_batch: int,
        max_wait_seconds: float,
        watcher: Watcher,
    ) -> None:
        self._score, self._watcher = score, watcher
        self._max_batch, self._max_wait = max_batch, max_wait_seconds
        # Guards the three below it.
        self._changed = threading.Condition()
        self._waiting: deque[_Item] = deque()
        self._decoded: deque[_Item] = deque()
        self._closed = False
        self._runners = [
            threading.Thread(target=self._run, name=f"runner-{n}", daemon=True)
            for n in range(threads)
        ]
        for runner in self._runners:
            runner.start()

    def submit(self, prepare: Prepare, deadline: float) -> "Future[Row]":
        """Queue one picture: prepare makes its row [1, 3, size, size], the future its scores [k].

        deadline is of time.monotonic. The future raises what prepare raised, or ExpiredError.
        """
        item = _Item(prepare, deadline)
        with self._changed:
            self._waiting.append(item)
            self._changed.notify()
        return item.future

    def close(self) -> None:
        """Finish what was taken, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for runner in self._runners:
            runner.join()

    def _run(self) -> None:
        while (step := self._choose()) is not None:
            if isinstance(step, list):
                self._infer(step)
            else:
                self._decode(step)

    def _choose(self) -> _Item | list[_Item] | None:
        """A picture to decode, or a batch for the network; None at the end.

        Waits only while there is neither: whoever puts something into a queue and is not about to
        look there itself has to notify.
        """
        with self._changed:
            while not self._closed or self._waiting or self._decoded:
                if self._decoded and self._is_batch():
                    count = min(len(self._decoded), self._max_batch)
                    return [self._decoded.popleft() for _ in range(count)]
                if self._waiting:
                    return self._waiting.popleft()
                self._changed.wait()
        return None

    def _is_batch(self) -> bool:
        return (
            not self._waiting
            or len(self._decoded) >= self._max_batch
            or time.monotonic() >= self._decoded[0].decoded_at + self._max_wait
        )

    def _decode(self, item: _Item) -> None:
        begin = time.perf_counter()
        try:
            if not item.is_due():
                return
            item.row = item.prepare()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it decides
            item.fail(error)
            return
        self._watcher.observe_decode(time.perf_counter() - begin)
        item.decoded_at = time.monotonic()
        with self._changed:
            self._decoded.append(item)

    def _infer(self, collected: list[_Item]) -> None:
        batch = [item for item in collected if item.is_due()]
        rows = [item.row for item in batch if item.row is not None]
        if not rows:
            return
        begin = time.perf_counter()
        try:
            scores = self._score(rows[0] if len(rows) == 1 else np.concatenate(rows))
            answered = list(zip(batch, scores, strict=True))
        except BaseException as error:  # noqa: BLE001 - a runner must outlive a bad batch
            for item in batch:
                item.fail(error)
            return
        self._watcher.observe_batch(len(rows), time.perf_counter() - begin)
        for item, row in answered:
            item.succeed(row)
