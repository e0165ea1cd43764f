"""Last blocks beside heads: one fold's fortune is neither a gain nor a loss."""

from dataclasses import replace

import pytest

from serving.job.search import Recipe, Search, Trial
from training.checkpoint import Epoch, Progress
from training.comparison import add_trial, is_better
from training.search.deeper import Tried
from training.search.search import Found
from training.search.trial import Fitted
from training.tasks.protocol import Measured

OF_ALL = Measured(loss=0.40, error=0.02, accuracy=0.90, temperature=1.0)
ON_FOLD = Measured(loss=0.20, error=0.02, accuracy=0.96, temperature=1.0)
PROGRESS = Progress(epochs=(Epoch(train_loss=0.1, val_loss=0.1, val_accuracy=1.0),), best_epoch=1)


def make_found() -> Found:
    trial = Trial(
        number=3,
        recipe=Recipe(input="small crop"),
        state="finished",
        loss=OF_ALL.loss,
        accuracy=OF_ALL.accuracy,
        best_epoch=5,
        latency_ms=1,
        model_mb=1,
        seconds=1,
        allowed=True,
    )
    search = Search(
        trials=(trial,), best=3, ended_because="no_gain", folds=5, repeats=True, seconds=9
    )
    fitted = Fitted(best=OF_ALL, best_epoch=5, val_loss=(0.4,), val_accuracy=(0.9,))
    return Found(search=search, fitted=fitted)


def add(now: Measured | None) -> Found:
    recipe = Recipe(input="small crop", depth="last_blocks")
    tried = Tried(recipe=recipe, measured=now, progress=PROGRESS, seconds=30, cut=False, key="")
    return add_trial(make_found(), ON_FOLD, tried)


def test_an_easy_fold_makes_no_deeper_trial_better() -> None:
    # Better than the head's 0.90 of all folds, and worse than the head on the same fold.
    found = add(replace(ON_FOLD, loss=0.25, accuracy=0.94))
    last = found.search.trials[-1]
    assert [last.accuracy, last.loss] == pytest.approx([0.88, 0.45])
    assert found.search.best == 3
    assert [trial.number for trial in found.search.front] == [3]
    assert found.fitted == make_found().fitted


def test_a_gain_stands_beside_all_folds() -> None:
    found = add(replace(ON_FOLD, loss=0.15, accuracy=0.99, temperature=0.8))
    chosen = found.search.chosen
    assert chosen.recipe.depth == "last_blocks"
    assert [chosen.accuracy, chosen.loss] == pytest.approx([0.93, 0.35])
    assert (found.fitted.best.accuracy, found.fitted.best.temperature) == (chosen.accuracy, 0.8)
    assert [trial.number for trial in found.search.front] == [4]
    assert (found.search.seconds, found.search.repeats) == (39, True)


def test_a_diverged_trial_is_told_and_changes_nothing() -> None:
    found = add(None)
    last = found.search.trials[-1]
    assert (last.state, last.loss, last.accuracy, last.seconds) == ("failed", None, None, 30)
    assert (found.search.best, found.fitted) == (3, make_found().fitted)


@pytest.mark.parametrize(
    ("loss", "accuracy", "better"),
    [(0.15, 0.97, True), (0.15, 0.96, False), (0.199, 0.97, False), (0.25, 0.97, False)],
)
def test_better_is_more_right_and_more_honest(loss: float, accuracy: float, better: bool) -> None:
    assert is_better(ON_FOLD, replace(ON_FOLD, loss=loss, accuracy=accuracy)) == better
