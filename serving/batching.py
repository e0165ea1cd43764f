"""Pictures → scores on a few threads: decoding in a pool, the network in batches.

Nothing here knows HTTP or asyncio: futures are the border.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
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
    """First come, first served; a batch is what has come while the network was at work.

    A network that is idle starts at once, unless pictures are being decoded that could join:
    it waits for those, at most max_wait_seconds. A lone caller never waits for company.
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
        # Guards the three below it. Not a queue.SimpleQueue: Python 3.11's get(timeout) waits for
        # ever where the time ends between its two tries.
        self._changed = threading.Condition()
        self._ready: deque[_Item] = deque()
        self._preparing = 0
        self._closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._runners = [
            threading.Thread(target=self._run, name=f"network-{n}", daemon=True)
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
            self._preparing += 1
        self._pool.submit(self._prepare, item)
        return item.future

    def close(self) -> None:
        """Finish what was taken, then end the threads."""
        self._pool.shutdown(wait=True)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for runner in self._runners:
            runner.join()

    def _prepare(self, item: _Item) -> None:
        begin = time.perf_counter()
        try:
            if item.is_due():
                item.row = item.prepare()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it decides
            item.fail(error)
        finally:
            if item.row is not None:
                self._watcher.observe_decode(time.perf_counter() - begin)
            with self._changed:
                self._preparing -= 1
                if item.row is not None:
                    self._ready.append(item)
                self._changed.notify_all()

    def _collect(self) -> list[_Item]:
        """The next batch; an empty one at the end."""
        with self._changed:
            while True:
                while not self._ready and not self._closed:
                    self._changed.wait()
                until = time.monotonic() + self._max_wait
                while len(self._ready) < self._max_batch and self._preparing:
                    left = until - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                # Another thread may have taken all of them meanwhile.
                if self._ready or self._closed:
                    count = min(len(self._ready), self._max_batch)
                    return [self._ready.popleft() for _ in range(count)]

    def _run(self) -> None:
        while collected := self._collect():
            batch = [item for item in collected if item.is_due()]
            rows = [item.row for item in batch if item.row is not None]
            if not rows:
                continue
            begin = time.perf_counter()
            try:
                scores = self._score(rows[0] if len(rows) == 1 else np.concatenate(rows))
                answered = list(zip(batch, scores, strict=True))
            except BaseException as error:  # noqa: BLE001 - a runner must outlive a bad batch
                for item in batch:
                    item.fail(error)
                continue
            self._watcher.observe_batch(len(rows), time.perf_counter() - begin)
            for item, row in answered:
                item.succeed(row)
