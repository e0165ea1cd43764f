"""The time of deeper training, with a clock that is told what time it is."""

from pathlib import Path

import pytest

from training import clock
from training.checkpoint import Epoch, Progress
from training.clock import Clock

EPOCH = Epoch(train_loss=1.0, val_loss=1.0, val_accuracy=0.5)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    told = Time()
    monkeypatch.setattr(clock, "time", told)
    return told


def test_a_retry_goes_on_with_what_was_left(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "scratch" / "clock.json"
    first = Clock(path, "key", 100, 0.0)
    time.now += 10
    assert first.plan(9.0, most=20) == 10
    time.now += 9
    assert not first.is_over(Progress(epochs=(EPOCH,)), 1)
    # Killed in its second epoch; the retry starts an hour later.
    time.now += 3600
    retry = Clock(path, "key", 100, 0.0)
    assert retry.used == 19
    time.now += 61
    # The learning rate falls as it would have, whatever an epoch seems to take now.
    assert retry.plan(30.0, most=20) == 10
    time.now += 9
    assert not retry.is_over(Progress(epochs=(EPOCH,) * 2), 1)
    time.now += 9
    assert retry.is_over(Progress(epochs=(EPOCH,) * 3), 2)
    # Killed after that, in the final training: nothing more is trained before it.
    assert Clock(path, "key", 1e9, 0.0).is_over(Progress(epochs=(EPOCH,) * 3), 0)
    assert Clock(path, "other data", 100, 0.0).used == 0
    path.write_text("{")
    assert Clock(path, "key", 100, 0.0).used == 0


def test_a_retry_is_asked_before_its_first_epoch(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "clock.json"
    first = Clock(path, "key", 100, 0.0)
    assert first.plan(10.0, most=20) == 10
    time.now += 20
    assert not first.is_over(Progress(epochs=(EPOCH,)), 1)
    retry = Clock(path, "key", 100, 0.0)
    assert retry.plan(10.0, most=20) == 10
    assert not retry.is_over(Progress(epochs=(EPOCH,)), 0)
    time.now += 45
    # 35 s are left, and an epoch takes 45 s now.
    assert retry.is_over(Progress(epochs=(EPOCH,) * 2), 1)


def test_a_part_of_an_epoch_tells_nothing_of_a_whole_one(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "clock.json"
    first = Clock(path, "key", 100, 0.0)
    assert first.plan(10.0, most=20) == 10
    time.now += 30
    first.save()
    # Killed within its first epoch; the retry has the rest of it to train.
    time.now += 3600
    retry = Clock(path, "key", 100, 0.0)
    assert retry.used == 30
    assert retry.plan(30.0, most=20) == 10
    time.now += 15
    assert not retry.is_over(Progress(epochs=(EPOCH,)), 0)
    time.now += 25
    # 30 s are left, enough for as many as the whole one took.
    assert not retry.is_over(Progress(epochs=(EPOCH,) * 2), 1)


@pytest.mark.parametrize(
    ("seconds", "again", "epochs"), [(100, 0.0, 10), (100, 1.0, 5), (1e6, 1.0, 20), (5, 0.0, 0)]
)
def test_epochs_that_there_is_time_for(
    tmp_path: Path, time: Time, seconds: float, again: float, epochs: int
) -> None:
    assert Clock(tmp_path / "clock.json", "key", seconds, again).plan(10.0, most=20) == epochs


def test_the_final_training_has_its_time(tmp_path: Path, time: Time) -> None:
    one = Clock(tmp_path / "clock.json", "key", 100, 1.0)
    one.plan(10.0, most=20)
    answers = []
    for done in range(1, 6):
        # Twice as slow as it seemed.
        time.now += 20
        answers.append(one.is_over(Progress(epochs=(EPOCH,) * done), done))
    # After two epochs, one more and three of the final training would take 120 s.
    assert answers[:2] == [False, True]


def test_no_limit(tmp_path: Path, time: Time) -> None:
    one = Clock(tmp_path / "clock.json", "key", 0, 1.0)
    assert one.plan(0.0, most=20) == 20
    time.now += 1e6
    assert not one.is_over(Progress(epochs=(EPOCH,)), 1)
