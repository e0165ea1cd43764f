"""What a person reads in the task's log while it trains: seldom, and with what is left."""

import pytest

from serving.job.search import Recipe, Trial
from training.progress import EpochLines, SearchLines

INPUT = "efficientnet-lite0 crop"


def make_trial(number: int, accuracy: float) -> Trial:
    return Trial(
        number=number,
        recipe=Recipe(input=INPUT),
        state="finished",
        loss=1 - accuracy,
        accuracy=accuracy,
        best_epoch=3,
        latency_ms=5,
        model_mb=13,
        seconds=2,
        allowed=True,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the lines see; it stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr("training.progress.time.monotonic", lambda: now[0])
    return now


def test_search_says_its_best_and_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = SearchLines(max_trials=8, search_seconds=60)
    done = [make_trial(0, 0.9), make_trial(1, 0.95)]
    lines.show(done, done[1], seconds=10)
    assert capsys.readouterr().out == (
        f"trial 2/8  best 0.9500 ({INPUT}, linear)  50 s of the budget left  "
        "about 30 s to the last trial\n"
    )
    # Past its limits nothing is left, and nothing less than that.
    clock[0] += 1
    lines.show(done * 5, None, seconds=70)
    told = capsys.readouterr().out
    assert told == "trial 10/8  0 s of the budget left  about 0 s to the last trial\n"


def test_search_without_limits_does_not_guess(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    SearchLines(max_trials=0, search_seconds=0).show([make_trial(0, 0.5)], None, seconds=3)
    assert capsys.readouterr().out == "trial 1\n"


def test_lines_come_once_a_second_at_most(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    search, epochs = (
        SearchLines(100, 0),
        EpochLines(max_epochs=1000, first_epoch=0, started=clock[0]),
    )
    for number in range(1, 1001):
        clock[0] += 0.01
        search.show([make_trial(number, 0.5)], None, seconds=clock[0])
        epochs.show(number, 0.1)
    assert 18 <= capsys.readouterr().out.count("\n") <= 22


def test_epochs_of_an_earlier_attempt_took_no_time_of_this_one(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = EpochLines(max_epochs=20, first_epoch=10, started=clock[0])
    clock[0] += 4
    lines.show(12, 0.25)
    assert capsys.readouterr().out == "epoch 12/20  train loss 0.2500  at most 16 s left\n"
    # The last one is always told.
    lines.show(13, 0.2, last=True)
    assert capsys.readouterr().out == "epoch 13/20  train loss 0.2000  ended\n"
