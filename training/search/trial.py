"""One trial, from a recipe to a loss."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

import optuna
from optuna.trial import FrozenTrial, TrialState

from serving.job.inputs import InputFeatures
from serving.job.search import Recipe, Trial
from training.early_stopping import EarlyStopping
from training.search.fold_fit import FoldFit
from training.search.study import RUNGS
from training.tasks.protocol import Measured

RESULT, FITTED = "result", "fitted"
BYTES_PER_WEIGHT = 4


@dataclass(frozen=True)
class Limits:
    """model_mb: how large a model may be, 0 for no limit. The others: of each trial's fit."""

    model_mb: float
    epochs: int
    patience: int
    min_delta: float


@dataclass(frozen=True)
class Fitted:
    """A trial's fit: its best epoch, measured there, and its curves."""

    best: Measured
    best_epoch: int
    val_loss: tuple[float, ...]
    val_accuracy: tuple[float, ...]


def fit_trial(
    trial: optuna.Trial,
    fit: FoldFit,
    limits: Limits,
    is_over: Callable[[], bool],
) -> Fitted:
    """Train until nothing gets better; raises optuna.TrialPruned where others did better.

    is_over: whether the search's time is up, asked at every rung.
    """
    stopping = EarlyStopping(limits.patience, limits.min_delta)
    measured: list[Measured] = []
    while len(measured) < limits.epochs and not stopping.exhausted:
        fit.run_epoch()
        measured.append(fit.measure())
        loss = measured[-1].loss
        if not math.isfinite(loss):
            raise optuna.TrialPruned("the loss is no number any more")
        stopping = stopping.after(loss)
        if len(measured) in RUNGS:
            trial.report(stopping.best_loss, step=len(measured))
            if trial.should_prune() or is_over():
                raise optuna.TrialPruned
    return Fitted(
        best=measured[stopping.best_epoch - 1],
        best_epoch=stopping.best_epoch,
        val_loss=tuple(one.loss for one in measured),
        val_accuracy=tuple(one.accuracy for one in measured),
    )


def estimate_size(given: InputFeatures, recipe: Recipe, classes: int) -> float:
    """Size of the served network, 10⁶ bytes: the backbone's file and the head's weights."""
    widths = [given.backbone.features, *([recipe.hidden] if recipe.hidden else []), classes]
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    return (given.backbone.file_bytes + BYTES_PER_WEIGHT * weights) / 1e6


def describe(
    number: int, recipe: Recipe, given: InputFeatures, classes: int, limits: Limits
) -> Trial:
    """What is known of a trial before it ran."""
    size = estimate_size(given, recipe, classes)
    return Trial(
        number=number,
        recipe=recipe,
        state="pruned",
        loss=None,
        accuracy=None,
        best_epoch=0,
        latency_ms=given.backbone.latency_ms,
        model_mb=size,
        seconds=0,
        allowed=is_within(size, limits.model_mb),
    )


def keep(study: optuna.Study, trial: optuna.Trial, shown: Trial, fitted: Fitted | None) -> None:
    """Tell the study how a trial ended; without a fit it was pruned."""
    trial.set_user_attr(RESULT, shown.model_dump_json())
    if fitted is None:
        study.tell(trial, state=TrialState.PRUNED)
        return
    trial.set_user_attr(FITTED, asdict(fitted))
    study.tell(trial, fitted.best.loss)


def is_within(value: float, limit: float) -> bool:
    """Whether a limit is kept; 0 is no limit."""
    return not limit or value <= limit


def read_trial(trial: FrozenTrial) -> Trial:
    """What was kept of a finished or pruned trial."""
    return Trial.model_validate_json(trial.user_attrs[RESULT])


def read_fit(trial: FrozenTrial) -> Fitted:
    """What was kept of a finished trial's fit."""
    fitted = trial.user_attrs[FITTED]
    best = fitted["best"] | {"parts": tuple(fitted["best"]["parts"])}
    return Fitted(
        best=Measured(**best),
        best_epoch=fitted["best_epoch"],
        val_loss=tuple(fitted["val_loss"]),
        val_accuracy=tuple(fitted["val_accuracy"]),
    )
