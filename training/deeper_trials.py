"""Deeper trainings one after another, all ranks together, then the best of them for good."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from serving.job.search import Recipe
from training import checkpoint
from training.clock import Clock
from training.comparison import add_trial, describe, find_measured, is_better
from training.depths import Setting, Way, train_deep
from training.fit import Fit, Rows, Trained
from training.loop import DivergedError, IsOver
from training.resolved import resolve
from training.search.deeper import DeeperStudy, Tried, find_deeper_file
from training.search.search import Found
from training.tasks.protocol import Measured
from training.winner import Winner, select_rows

# So many trials without a gain, and more would hardly bring any.
STALE_TRIALS = 4


@dataclass(frozen=True)
class Best:
    """The best so far. measured: by the fold that judges deeper trainings; None before any."""

    winner: Winner
    measured: Measured | None

    def keep_for_time(self) -> "Best":
        """The same, where the clock has decided so: with more time it might be another."""
        search = self.winner.found.search.model_copy(update={"repeats": False})
        found = self.winner.found.model_copy(update={"search": search})
        return replace(self, winner=replace(self.winner, found=found))


@dataclass(frozen=True)
class Ground:
    """What a depth's trials begin with. base: the chosen head, for the final training.

    rows: of the fold that judges; head: one that has not learned from it. before: the best so far,
    measured by that fold. planned_less: the clock left room for fewer epochs than are usual.
    """

    base: Winner
    rows: Rows
    head: Trained
    before: Best
    planned_less: bool


class DeeperTrials:
    """Trials of one depth, the same on every rank. fit: of the first one."""

    def __init__(self, setting: Setting, way: Way, clock: Clock, fit: Fit, ground: Ground) -> None:
        self._setting, self._way, self._clock = setting, way, clock
        self._fit, self._ground = fit, ground
        self._found, self._measured = ground.before.winner.found, _know(ground.before.measured)
        self._tried: list[Tried] = []
        # Whether each trial was better than all before it.
        self._better: list[bool] = []
        # The best of them, if it is better than what was before; None of an earlier attempt's.
        self._chosen: Trained | None = None
        self._best_key = ""

    def run(self, has_gain: Callable[[Found], bool]) -> Best:
        """Try until time is over or nothing more is to be gained.

        has_gain: whether an account leaves any.
        """
        setting, ranks = self._setting, self._setting.ranks
        study = self._open_study() if ranks.leads else None
        earlier = [one.model_dump_json() for one in study.read()] if study else []
        for text in json.loads(ranks.broadcast(json.dumps(earlier).encode())):
            self._count(Tried.model_validate_json(text), None)
        while setting.agrees(lambda: self._goes_on(has_gain)):
            asked = study.ask() if study else None
            told = json.dumps(asked[1]).encode() if asked else b""
            recipe = self._way.change(self._fit.recipe, json.loads(ranks.broadcast(told)))
            tried, deep = self._train(recipe)
            if study and asked:
                study.keep(asked[0], tried)
            self._count(tried, deep)
        if not any(self._better):
            before = self._ground.before
            return replace(before, winner=replace(before.winner, found=self._found))
        return Best(self._finish(), self._measured)

    def _open_study(self) -> DeeperStudy:
        spec, way = self._setting.spec, self._way
        path = find_deeper_file(checkpoint.find_scratch(spec.scratch_uri), way.depth)
        return DeeperStudy(path, self._setting.key, spec.seed, way.space, self._fit.recipe)

    def _goes_on(self, has_gain: Callable[[Found], bool]) -> bool:
        done = len(self._tried)
        if not done:
            return True
        stale = done >= STALE_TRIALS and not any(self._better[-STALE_TRIALS:])
        if done >= self._way.most_trials or stale or not has_gain(self._found):
            return False
        return self._clock.has_room(self._fit.epochs)

    def _train(self, recipe: Recipe) -> tuple[Tried, Trained | None]:
        clock, ranks = self._clock, self._setting.ranks
        fit = replace(self._fit, recipe=recipe)
        clock.begin()
        try:
            deep = self._fit_rows(fit, self._ground.rows, self._ground.head, clock.is_over)
            key = deep.key
        except DivergedError as error:
            deep, key = None, error.key
        tried = Tried(
            recipe=recipe,
            measured=None if deep is None else find_measured(deep),
            progress=checkpoint.Progress() if deep is None else deep.progress,
            seconds=max(0.0, clock.used - sum(one.seconds for one in self._tried)),
            cut=clock.over or self._ground.planned_less,
            key=key,
        )
        # The leading rank's seconds, as of all else in the account.
        told = ranks.broadcast(tried.model_dump_json().encode())
        return Tried.model_validate_json(told), deep

    def _fit_rows(self, fit: Fit, rows: Rows, head: Trained, is_over: IsOver | None) -> Trained:
        return train_deep(
            self._setting,
            self._way,
            fit,
            rows,
            head=head,
            is_over=is_over,
            on_saved=self._clock.save,
        )

    def _count(self, tried: Tried, deep: Trained | None) -> None:
        self._setting.say(describe(self._way.words, self._measured, tried))
        self._found = add_trial(self._found, self._measured, tried)
        self._tried.append(tried)
        self._better.append(is_better(self._measured, tried.measured))
        worse = tried.key
        if self._better[-1]:
            self._measured, self._chosen = _know(tried.measured), deep
            worse, self._best_key = self._best_key, tried.key
        if worse not in ("", self._best_key) and self._setting.ranks.leads:
            # A network's checkpoint is four times as large as the network.
            checkpoint.find_file(self._setting.spec.scratch_uri, worse).unlink(missing_ok=True)

    def _finish(self) -> Winner:
        """Where the folds are of all samples, the best trial once more on all of them."""
        setting, spec, ground = self._setting, self._setting.spec, self._ground
        tried = next(
            one for one, better in zip(self._tried[::-1], self._better[::-1], strict=True) if better
        )
        fit, deep = replace(self._fit, recipe=tried.recipe), self._chosen
        epochs = len(tried.progress.epochs)
        if setting.material.folds.joined:
            epochs = tried.progress.best_epoch
            rows = select_rows(setting.material, ground.base.resolved.recipe)
            rows = replace(rows, inputs=ground.rows.inputs)
            deep = self._fit_rows(replace(fit, epochs=epochs), rows, ground.base.trained, None)
        elif deep is None:
            # An earlier attempt has trained it: it lies in its checkpoint. Where that is damaged,
            # as many epochs again, whatever the clock says now.
            deep = self._fit_rows(
                fit, ground.rows, ground.head, lambda progress, _: len(progress.epochs) >= epochs
            )
        fit = replace(fit, epochs=epochs)
        resolved = resolve(fit, setting.ranks, spec.code_version, None)
        resolved = resolved.model_copy(update={"base": ground.base.resolved})
        return Winner(self._found, setting.given, deep, resolved)


def _know(measured: Measured | None) -> Measured:
    if measured is None:
        raise RuntimeError("there is nothing to be judged by")
    return measured
