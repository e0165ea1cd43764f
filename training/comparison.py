"""Last blocks against the head they began with: on the same samples, and in the account."""

import math
from dataclasses import replace

from serving.job.search import Recipe, Search, Trial
from training.fit import Trained
from training.search.search import LEAST_GAIN, Found
from training.search.trial import Fitted
from training.tasks.protocol import Measured


def find_measured(trained: Trained) -> Measured:
    """How well it did on samples it did not learn from; RuntimeError where there were none."""
    if trained.measured is None:
        raise RuntimeError("there is nothing to be judged by")
    return trained.measured


def is_better(before: Measured, now: Measured) -> bool:
    """More right, and by more than chance more honest, on the same samples."""
    gain = before.loss - now.loss
    return gain > LEAST_GAIN * before.error and now.accuracy > before.accuracy


def add_trial(
    found: Found, recipe: Recipe, head: Trained, deep: Trained, *, seconds: float, cut: bool
) -> Found:
    """The account with the deeper trial; one that the clock has cut does not repeat.

    head, deep: judged by the same samples, the first fold's. Heads of the account were judged by
    all folds: beside them, the deeper trial stands as the chosen head and what it gained on these.
    """
    before, now = find_measured(head), find_measured(deep)
    better = is_better(before, now)
    search, chosen = found.search, found.search.chosen
    of_all = found.fitted.best
    measured = replace(
        now,
        loss=max(0.0, of_all.loss + now.loss - before.loss),
        accuracy=min(1.0, max(0.0, of_all.accuracy + now.accuracy - before.accuracy)),
    )
    number = 1 + max(trial.number for trial in search.trials)
    update: dict[str, object] = {
        "number": number,
        "recipe": recipe,
        "loss": measured.loss,
        "accuracy": measured.accuracy,
        "best_epoch": deep.progress.best_epoch,
        "seconds": seconds,
    }
    trial: Trial = chosen.model_copy(update=update)
    account: Search = search.model_copy(
        update={
            "trials": (*search.trials, trial),
            "best": number if better else search.best,
            "seconds": search.seconds + seconds,
            "repeats": search.repeats and not cut,
        }
    )
    if not better:
        return Found(search=account, fitted=found.fitted)
    epochs = deep.progress.epochs
    fitted = Fitted(
        best=measured,
        best_epoch=deep.progress.best_epoch,
        val_loss=tuple(epoch.val_loss or math.nan for epoch in epochs),
        val_accuracy=tuple(epoch.val_accuracy or 0.0 for epoch in epochs),
    )
    return Found(search=account, fitted=fitted)


def describe(before: Measured, now: Measured, cut: bool) -> str:
    """A sentence for the task's log."""
    ended = "its time was over" if cut else "all its epochs were trained, or nothing got better"
    return (
        f"Last blocks: accuracy {now.accuracy:.4f}, loss {now.loss:.4f}; the head alone on the "
        f"same samples: {before.accuracy:.4f}, {before.loss:.4f}. Ended because {ended}; "
        f"{'taken' if is_better(before, now) else 'the head alone is kept'}."
    )
