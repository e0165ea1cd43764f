"""The model search: trials on every rank, until a limit is reached or nothing more is gained."""

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from serving.job.errors import UserError
from serving.job.inputs import InputFeatures
from serving.job.search import Ended, Search, Trial
from serving.job.spec import Spec
from training.batches import choose_batch_size
from training.progress import SearchLines
from training.ranks import Ranks
from training.search.choice import choose
from training.search.fold_fit import FoldData, FoldFit, scale_all
from training.search.folds import Folds, make_folds
from training.search.space import first_recipes, suggest
from training.search.study import ask, begin, count_begun, find_finished, open_study
from training.search.trial import (
    Fitted,
    Limits,
    describe,
    fit_trial,
    is_within,
    keep,
    read_fit,
    read_trial,
)
from training.spec import TrainSpec, WarmStart
from training.tasks.protocol import ReadContents, Samples, Scaling, TaskData, TaskModel
from training.vectors import Vectors, find_scaling

# Trials without a gain worth a tenth of the loss' standard error: one cannot tell it from chance.
STALE_TRIALS = 20
LEAST_GAIN = 0.1


class Found(Spec):
    """The search's account, and how the chosen trial was fitted."""

    search: Search
    fitted: Fitted


@dataclass(frozen=True)
class Material:
    """What a training learns from. contents: None where there are features only."""

    samples: Samples
    folds: Folds
    vectors: Vectors
    contents: ReadContents | None = None

    def find_scaling(self, name: str) -> Scaling:
        """Of one input's features, over the rows that are learned from."""
        return find_scaling(self.vectors[name], np.unique(self.folds.learned))


def gather_material(spec: TrainSpec, data: TaskData) -> Material:
    """Read the samples and deal them out; UserError where they cannot be trained on."""
    samples = data.read_samples(spec)
    vectors = Vectors(choose_inputs(spec), samples.sha256)
    contents = partial(data.read_contents, spec, samples.sha256)
    return Material(samples, make_folds(samples, spec.seed), vectors, contents)


def choose_inputs(spec: TrainSpec) -> tuple[InputFeatures, ...]:
    """Inputs whose backbone is within the limits; UserError where there is none."""
    allowed = tuple(
        given
        for given in spec.inputs
        if is_within(given.backbone.latency_ms, spec.max_latency_ms)
        and is_within(given.backbone.file_bytes / 1e6, spec.max_model_mb)
    )
    if allowed:
        return allowed
    known = "; ".join(
        f"{given.backbone.name} takes {given.backbone.latency_ms:.1f} ms and "
        f"{given.backbone.file_bytes / 1e6:.1f} MB"
        for given in spec.inputs
    )
    raise UserError(
        f"No backbone is within max_latency_ms {spec.max_latency_ms:g} and max_model_mb "
        f"{spec.max_model_mb:g} (0: no limit): {known}. Raise the limit."
    )


def find_earlier(spec: TrainSpec) -> WarmStart | None:
    """The head to go on from; what did well at another task tells nothing of this one."""
    warm = spec.warm_from
    return warm if warm is not None and warm.task == spec.task else None


class Searcher:
    """One rank's part in the search."""

    def __init__(
        self,
        spec: TrainSpec,
        ranks: Ranks,
        task: TaskModel,
        material: Material,
        path: Path,
    ) -> None:
        self._spec, self._ranks, self._task, self._material = spec, ranks, task, material
        self._inputs = material.vectors.inputs
        self._limits = Limits(
            model_mb=spec.max_model_mb,
            epochs=spec.max_epochs,
            patience=spec.patience,
            min_delta=spec.min_delta,
        )
        self._data: dict[str, FoldData] = {}
        key = spec.fingerprint_work()
        warm = find_earlier(spec)
        first = first_recipes(
            list(self._inputs),
            None if warm is None else warm.recipe,
            choose_batch_size(len(material.folds.learned)),
        )
        self._first = first
        # What is near a recipe that did well tells soon whether more is to be found.
        near = len(first) > len(self._inputs)
        self._stale_trials = len(first) - 1 if near else STALE_TRIALS
        if ranks.leads:
            self._study = begin(path, key, first)
            if done := len(find_finished(self._study)):
                print(f"An earlier attempt left its search: going on after {done} trials.")
        ranks.wait()
        if not ranks.leads:
            self._study = open_study(path)
        self._spent_before = self._spent()
        self._started = time.monotonic()

    def run(self) -> Found:
        """Run trials until the end; the account is the leading rank's on all."""
        lines = SearchLines(self._spec.max_trials, self._spec.search_seconds)
        while (ended := self._find_end()) is None:
            trial = ask(self._study, self._spec.seed, self._ranks.rank)
            if self._has_enough(before=trial.number):
                # Another rank saw the same room, and was first.
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            self._run_one(trial)
            if self._ranks.leads:
                done = find_finished(self._study)
                best = choose(done, self._first)
                lines.show([read_trial(trial) for trial in done], best, self._seconds())
        self._ranks.wait()
        told = self._account(ended).model_dump_json() if self._ranks.leads else ""
        return Found.model_validate_json(self._ranks.broadcast(told.encode()))

    def _run_one(self, trial: optuna.Trial) -> None:
        recipe = suggest(trial, list(self._inputs))
        given = self._inputs[recipe.input]
        shown = describe(trial.number, recipe, given, len(self._spec.classes), self._limits)
        if self._limits.model_mb:
            trial.set_constraint("model_mb", shown.model_mb - self._limits.model_mb)
        started, fitted = time.monotonic(), None
        try:
            fit = FoldFit(self._read(recipe.input), self._task, recipe, self._spec.seed)
            fitted = fit_trial(trial, fit, self._limits, self._is_over)
        except optuna.TrialPruned as reason:
            found: dict[str, object] = {"state": "failed" if str(reason) else "pruned"}
        else:
            found = {
                "state": "finished",
                "loss": fitted.best.loss,
                "accuracy": fitted.best.accuracy,
                "best_epoch": fitted.best_epoch,
            }
        found["seconds"] = time.monotonic() - started
        keep(self._study, trial, shown.model_copy(update=found), fitted)

    def _read(self, name: str) -> FoldData:
        if name not in self._data:
            self._data[name] = FoldData(
                samples=self._material.samples,
                folds=self._material.folds,
                features=scale_all(self._material.vectors[name], self._material.find_scaling(name)),
                classes=len(self._spec.classes),
            )
        return self._data[name]

    def _find_end(self) -> Ended | None:
        if self._has_enough():
            return "max_trials"
        done = find_finished(self._study)
        if self._is_over():
            return "budget"
        return "no_gain" if _is_stale(done, self._stale_trials) else None

    def _has_enough(self, before: float = math.inf) -> bool:
        """Whether as many trials as asked for have begun, with numbers below `before`."""
        most = self._spec.max_trials
        return bool(most) and count_begun(self._study, before) >= most

    def _is_over(self) -> bool:
        """Whether the time is up and there is a model to show for it."""
        limit = self._spec.search_seconds
        if not limit or self._seconds() < limit:
            return False
        return any(t.state == TrialState.COMPLETE for t in find_finished(self._study))

    def _seconds(self) -> float:
        return self._spent_before + time.monotonic() - self._started

    def _spent(self) -> float:
        """What an earlier attempt of the same search took."""
        done = find_finished(self._study)
        return sum(read_trial(trial).seconds for trial in done) / self._ranks.size

    def _account(self, ended: Ended) -> Found:
        frozen = {trial.number: trial for trial in find_finished(self._study)}
        trials = tuple(read_trial(trial) for trial in frozen.values())
        best = choose(list(frozen.values()), self._first)
        if best is None:
            raise UserError(_explain_none(trials, self._spec))
        search = Search(
            trials=trials,
            best=best.number,
            ended_because=ended,
            folds=len(self._material.folds),
            repeats=self._ranks.size == 1 and ended != "budget",
            seconds=self._seconds(),
        )
        return Found(search=search, fitted=read_fit(frozen[best.number]))


def _is_stale(done: list[FrozenTrial], stale_trials: int) -> bool:
    """Whether the last trials together gained less than can be told from chance."""
    early = [trial for trial in done[:-stale_trials] if trial.state == TrialState.COMPLETE]
    if not early:
        return False
    before = read_fit(min(early, key=_read_loss)).best
    now = min(_read_loss(trial) for trial in done)
    return now > before.loss - LEAST_GAIN * before.error


def _read_loss(trial: FrozenTrial) -> float:
    """A pruned trial's is never the least."""
    return trial.values[0] if trial.state == TrialState.COMPLETE else math.inf


def _explain_none(trials: tuple[Trial, ...], spec: TrainSpec) -> str:
    if any(trial.state == "finished" for trial in trials):
        return (
            f"None of {len(trials)} trials is within max_model_mb {spec.max_model_mb:g}: the "
            f"smallest has {min(trial.model_mb for trial in trials):.1f} MB. Raise the limit."
        )
    return (
        f"The loss of all {len(trials)} trials grew beyond all bounds. The features may hold "
        f"values that are no numbers: look at the etl's report, and run etl again."
    )
