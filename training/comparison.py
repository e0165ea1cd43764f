"""Deeper trainings against what was best before: on the same samples, and in the account."""

import math
from dataclasses import replace

from serving.job.search import Search, Trial
from training.fit import Trained
from training.search.deeper import Tried
from training.search.search import LEAST_GAIN, Found
from training.search.trial import Fitted
from training.tasks.protocol import Measured


def find_measured(trained: Trained) -> Measured:
    """How well it did on samples it did not learn from; RuntimeError where there were none."""
    if trained.measured is None:
        raise RuntimeError("there is nothing to be judged by")
    return trained.measured


def is_better(before: Measured, now: Measured | None) -> bool:
    """More right, and by more than chance more honest, on the same samples."""
    if now is None:
        return False
    gain = before.loss - now.loss
    return gain > LEAST_GAIN * before.error and now.accuracy > before.accuracy


def add_trial(found: Found, before: Measured, tried: Tried) -> Found:
    """The account with a deeper trial; one that the clock has cut does not repeat.

    before: of what the account calls best, by the first fold's samples, as the trial is. Heads of
    the account were judged by all folds: beside them, the deeper trial stands as the best one so
    far and what it gained on these.
    """
    search, chosen, now = found.search, found.search.chosen, tried.measured
    better = is_better(before, now)
    number = 1 + max(trial.number for trial in search.trials)
    of_all = found.fitted.best
    update: dict[str, object] = {
        "number": number,
        "recipe": tried.recipe,
        "state": "failed",
        "loss": None,
        "accuracy": None,
        "best_epoch": tried.progress.best_epoch,
        "seconds": tried.seconds,
    }
    fitted = found.fitted
    if now is not None:
        measured = replace(
            now,
            loss=max(0.0, of_all.loss + now.loss - before.loss),
            accuracy=min(1.0, max(0.0, of_all.accuracy + now.accuracy - before.accuracy)),
        )
        update |= {"state": "finished", "loss": measured.loss, "accuracy": measured.accuracy}
        if better:
            epochs = tried.progress.epochs
            fitted = Fitted(
                best=measured,
                best_epoch=tried.progress.best_epoch,
                val_loss=tuple(epoch.val_loss or math.nan for epoch in epochs),
                val_accuracy=tuple(epoch.val_accuracy or 0.0 for epoch in epochs),
            )
    trial: Trial = chosen.model_copy(update=update)
    account: Search = search.model_copy(
        update={
            "trials": (*search.trials, trial),
            "best": number if better else search.best,
            "seconds": search.seconds + tried.seconds,
            "repeats": search.repeats and not tried.cut,
        }
    )
    return Found(search=account, fitted=fitted)


def describe(words: str, before: Measured, tried: Tried) -> str:
    """A sentence for the task's log. words: what was trained."""
    recipe, now = tried.recipe, tried.measured
    by = f"learning rate {recipe.learning_rate:.2g}"
    if recipe.depth == "network":
        by += f", augmentation {recipe.augmentation:.2f}, mixup {recipe.mixup:.2f}"
    if now is None:
        return f"Training {words} ({by}) ended: the loss grew beyond all bounds. Not taken."
    ended = "its time was over" if tried.cut else "all its epochs were trained"
    return (
        f"Trained {words} ({by}): accuracy {now.accuracy:.4f}, loss {now.loss:.4f}; the best "
        f"before on the same samples: {before.accuracy:.4f}, {before.loss:.4f}. Ended because "
        f"{ended}; {'taken' if is_better(before, now) else 'not taken'}."
    )
