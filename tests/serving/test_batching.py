"""What waits for what: threads that the test itself lets go."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest

from serving.batching import Batcher, ExpiredError, Row

SECONDS = 20.0


class Network:
    """Doubles what it gets; stands still while its gate is closed."""

    def __init__(self) -> None:
        self.gate, self.entered = threading.Event(), threading.Semaphore(0)
        self.gate.set()
        self.sizes: list[int] = []

    def score(self, rows: Row) -> Row:
        self.entered.release()
        assert self.gate.wait(SECONDS)
        self.sizes.append(len(rows))
        return rows * 2


class Watcher:
    def __init__(self) -> None:
        self.batches: list[int] = []
        self.decoded = 0

    def observe_decode(self, seconds: float) -> None:  # noqa: ARG002
        self.decoded += 1

    def observe_batch(self, pictures: int, seconds: float) -> None:  # noqa: ARG002
        self.batches.append(pictures)


def row(value: float) -> Row:
    return np.full((1, 1), value, dtype=np.float32)


class Room:
    def __init__(self, threads: int = 1, max_batch: int = 4, max_wait: float = 0.0) -> None:
        self.network, self.watcher = Network(), Watcher()
        self.batcher = Batcher(
            self.network.score,
            threads=threads,
            max_batch=max_batch,
            max_wait_seconds=max_wait,
            watcher=self.watcher,
        )

    def submit(
        self, value: float, prepare: Callable[[], Row] | None = None, seconds: float = SECONDS
    ) -> "Future[Row]":
        make = prepare or (lambda: row(value))
        return self.batcher.submit(make, time.monotonic() + seconds)

    def occupy(self) -> "Future[Row]":
        """A picture that keeps the network busy until the gate opens."""
        self.network.gate.clear()
        first = self.submit(0)
        assert self.network.entered.acquire(timeout=SECONDS)
        return first


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.network.gate.set()
    made.batcher.close()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_each_gets_its_own_scores_in_batches_of_at_most_four() -> None:
    room = Room(max_wait=SECONDS)
    room.occupy()
    futures = [room.submit(value) for value in range(1, 10)]
    room.network.gate.set()
    assert [float(f.result(SECONDS)[0]) for f in futures] == [2.0 * v for v in range(1, 10)]
    room.batcher.close()
    assert room.network.sizes == room.watcher.batches == [1, 4, 4, 1]
    assert room.watcher.decoded == 10


def test_what_is_decoded_waits_for_others_no_longer_than_it_may(room: Room) -> None:
    room.occupy()
    futures = [room.submit(value) for value in range(1, 4)]
    room.network.gate.set()
    assert [float(f.result(SECONDS)[0]) for f in futures] == [2.0, 4.0, 6.0]
    assert room.network.sizes == [1, 1, 1, 1]


def test_one_slow_picture_does_not_stop_the_other_threads() -> None:
    room = Room(threads=2, max_wait=SECONDS)
    decoding = threading.Event()

    def decode_slowly() -> Row:
        assert decoding.wait(SECONDS)
        return row(1)

    slow = room.submit(0, decode_slowly)
    assert [room.submit(v).result(SECONDS)[0] for v in range(2, 5)] == [4, 6, 8]
    assert not slow.done()
    decoding.set()
    assert slow.result(SECONDS)[0] == 2
    room.batcher.close()


def test_a_bad_picture_hurts_nobody_else(room: Room) -> None:
    def fail() -> Row:
        raise ValueError("broken")

    bad, good = room.submit(0, fail), room.submit(3)
    with pytest.raises(ValueError, match="broken"):
        bad.result(SECONDS)
    assert good.result(SECONDS)[0] == 6


def test_a_network_that_fails_fails_its_batch_only(room: Room) -> None:
    with pytest.raises(TypeError):
        room.submit(0, lambda: np.array([["x"]])).result(SECONDS)
    with pytest.raises(ValueError, match="zip"):
        room.submit(0, lambda: np.zeros((2, 1), np.float32)).result(SECONDS)
    assert room.submit(4).result(SECONDS)[0] == 8


def test_what_waited_too_long_never_reaches_the_network(room: Room) -> None:
    room.occupy()
    late = room.submit(1, seconds=0.0)
    room.network.gate.set()
    with pytest.raises(ExpiredError):
        late.result(SECONDS)
    assert room.watcher.decoded == 1
    assert room.network.sizes == [1]


def test_what_expires_after_it_was_decoded_never_reaches_the_network() -> None:
    room = Room(max_wait=SECONDS)
    room.occupy()
    decoding = threading.Event()

    def decode_slowly() -> Row:
        assert decoding.wait(SECONDS)
        return row(2)

    soon, slow = room.submit(1, seconds=0.5), room.submit(2, decode_slowly)
    room.network.gate.set()
    wait_for(lambda: room.watcher.decoded == 2)
    time.sleep(0.5)
    decoding.set()
    with pytest.raises(ExpiredError):
        soon.result(SECONDS)
    assert slow.result(SECONDS)[0] == 4
    assert room.network.sizes == [1, 1]
    room.batcher.close()


def test_what_nobody_waits_for_is_not_done(room: Room) -> None:
    room.occupy()
    left, kept = room.submit(1), room.submit(2)
    assert left.cancel()
    room.network.gate.set()
    assert kept.result(SECONDS)[0] == 4
    assert sum(room.network.sizes) == 2


def test_a_lone_picture_does_not_wait_for_company() -> None:
    room = Room(max_wait=SECONDS)
    assert room.submit(1).result(SECONDS / 2)[0] == 2
    room.batcher.close()


def test_no_picture_is_forgotten_where_the_wait_is_shorter_than_a_step() -> None:
    room = Room(threads=2, max_wait=1e-6)
    for _ in range(300):
        futures = [room.submit(value) for value in range(8)]
        assert [float(f.result(SECONDS)[0]) for f in futures] == [2.0 * v for v in range(8)]
    room.batcher.close()


def test_close_finishes_what_was_taken() -> None:
    room = Room(threads=2)
    futures = [room.submit(value) for value in range(20)]
    room.batcher.close()
    assert all(future.done() for future in futures)
    assert not [runner for runner in room.batcher._runners if runner.is_alive()]
