"""After the search: more than the head is trained, on all ranks, where that is better."""

import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from serving.job.search import Depth, Recipe
from training import checkpoint
from training.batches import choose_step_size
from training.clock import CLOCK_PATTERN, Clock, find_clock_file
from training.comparison import find_measured
from training.deeper_trials import Best, DeeperTrials, Ground
from training.depths import WAYS, Setting, Way, build, fit_deep, is_untrained
from training.fit import Fit, Rows, Trained
from training.loop import train_head
from training.maps import MAPS_PATTERN
from training.pictures import PICTURES_PATTERN
from training.ranks import Ranks
from training.search.deeper import STUDY_PATTERN
from training.search.folds import Folds
from training.search.search import Found, Material
from training.spec import TrainSpec
from training.tasks.protocol import TaskModel
from training.trainer import Trainer
from training.vectors import find_scaling
from training.winner import Winner, find_winner, select_rows

MOST_EPOCHS = 12
# A network that has learned nothing yet needs so many times as many.
SCRATCH_FACTOR = 5
# With fewer, the learning rate would fall before anything is learned.
LEAST_EPOCHS = 4
# With fewer mistakes left among what judges, what is mended could not be told from chance.
LEAST_MISTAKES = 8
# What LEAST_EPOCHS take at the least, in passes of all pictures through the backbone. Of last
# blocks: maps, and epochs twice, each about half as long as a pass; of a network: epochs alone,
# each as long as ten passes and more.
LEAST_PASSES: dict[Depth, float] = {"last_blocks": 1.0 + LEAST_EPOCHS, "network": 10 * LEAST_EPOCHS}
# Of what a picture to learn from takes.
SHARE_OF_JUDGING = 0.4


def find_deepest(spec: TrainSpec, ranks: Ranks, material: Material, task: TaskModel) -> Winner:
    """Find the best head; go deeper where that is promising, and better; the same on every rank."""
    base = find_winner(spec, ranks, material, task)
    # A head that goes on from an earlier one has learned from the samples that would judge it.
    if material.contents is None or base.resolved.start is not None:
        return base
    deepener = Deepener(Setting(spec, ranks, material, task, base.given), base)
    depths = get_args(Depth)
    for depth in depths[1 : depths.index(spec.deepest) + 1]:
        deepener.go(WAYS[depth])
    return deepener.best.winner


def has_gain_in_sight(folds: Folds, accuracy: float) -> bool:
    """Whether a network of some accuracy leaves enough mistakes in the fold that judges."""
    return round((1 - accuracy) * len(folds.folds[0].held_out)) >= LEAST_MISTAKES


class Deepener:
    """Goes deeper from a head, depth by depth. best: so far, and what it is judged by."""

    def __init__(self, setting: Setting, base: Winner) -> None:
        self._setting, self._base = setting, base
        self._most_epochs = MOST_EPOCHS * (SCRATCH_FACTOR if is_untrained(setting.given) else 1)
        self._left = max(0.0, setting.spec.search_seconds - base.found.search.seconds)
        self._ground: tuple[Rows, Trained] | None = None
        self.best = Best(base, None)

    def go(self, way: Way) -> None:
        """Try one depth, if it is promising and there is time."""
        setting = self._setting
        if not setting.agrees(lambda: self._is_promising(way)):
            return
        if not setting.agrees(lambda: self._is_in_time(way)):
            setting.say(f"There is no time for {way.words}: the best before is kept.")
            self.best = self.best.keep_for_time()
            return
        setting.say(f"Training {way.words}, too, from that head.")
        clock = make_clock(setting, way.depth, self._left)
        rows, head = self._find_ground()
        rows = replace(rows, inputs=way.open_inputs(setting))
        fit = self._plan(way, clock, rows, head)
        if fit.epochs < LEAST_EPOCHS:
            setting.say(f"There is time for {fit.epochs} epochs, too few: the best before is kept.")
            self.best = self.best.keep_for_time()
        else:
            cut = fit.epochs < self._most_epochs
            before = self.best if self.best.measured else Best(self._base, find_measured(head))
            ground = Ground(self._base, rows, head, before, planned_less=cut)
            trials = DeeperTrials(setting, way, clock, fit, ground)
            self.best = trials.run(lambda found: self._has_gain(way, found))
        self._left = max(0.0, self._left - clock.used)

    def _is_promising(self, way: Way) -> bool:
        setting = self._setting
        if way.depth == "last_blocks":
            # Maps lie on one machine's disk; on cards the whole network is trained.
            if setting.ranks.device != "cpu" or setting.ranks.nodes > 1:
                return False
            if setting.given.backbone.weights is not None:
                setting.say("Last blocks are trained of EfficientNet-Lite only.")
                return False
        return self._has_gain(way, self.best.winner.found)

    def _has_gain(self, way: Way, found: Found) -> bool:
        if way.depth == "network" and is_untrained(self._setting.given):
            return True
        return has_gain_in_sight(self._setting.material.folds, found.fitted.best.accuracy)

    def _is_in_time(self, way: Way) -> bool:
        setting = self._setting
        if not setting.spec.search_seconds:
            return True
        # What a pass takes was measured on a CPU.
        passes = LEAST_PASSES[way.depth] if setting.ranks.device == "cpu" else 0.0
        each = setting.given.backbone.latency_ms / 1e3 / setting.ranks.size
        return self._left > passes * each * len(setting.material.samples)

    def _find_ground(self) -> tuple[Rows, Trained]:
        """Rows of the fold that judges, and a head that has not learned from it."""
        if self._ground is None:
            setting, recipe = self._setting, self._base.resolved.recipe
            rows, head = select_rows(setting.material, recipe), self._base.trained
            if setting.material.folds.joined:
                fold = setting.material.folds.folds[0]
                matrix = setting.material.vectors[recipe.input]
                scaling = find_scaling(matrix, np.unique(fold.train))
                rows = replace(rows, learned=fold.train, judged=fold.held_out, scaling=scaling)
                fit = _fit_head(setting.spec, recipe)
                scratch = setting.spec.scratch_uri
                head = train_head(fit, setting.ranks, rows, setting.task, scratch)
            self._ground = (rows, head)
        return self._ground

    def _plan(self, way: Way, clock: Clock, rows: Rows, head: Trained) -> Fit:
        """As many epochs as there is time for: the learning rate falls until the last of them."""
        ranks, most = self._setting.ranks, self._most_epochs
        first = way.choose_first(self._base.resolved.recipe, self._setting.given)
        fit = fit_deep(self._setting.spec, first, most)
        # What is left is each rank's own number: by what all were asked alike, all measure or none.
        limited = bool(self._setting.spec.search_seconds)
        each = self._time_epoch(way, fit, rows, head) if limited else 0.0
        told = str(clock.plan(each, most)) if ranks.leads else ""
        epochs = int(ranks.broadcast(told.encode()))
        return replace(fit, epochs=epochs, patience=max(1, epochs), horizon=epochs)

    def _time_epoch(self, way: Way, fit: Fit, rows: Rows, head: Trained) -> float:
        """Seconds of an epoch, from a few steps of a training that is thrown away."""
        setting = self._setting
        size = choose_step_size(len(rows.learned), setting.ranks, costly=rows.inputs.costly)
        few = rows.learned[: way.timed_steps * size]
        some = replace(rows, learned=few, judged=rows.judged[:0])
        network, _ = build(setting, way, fit, head)
        trainer = Trainer(fit, setting.ranks, some, setting.task, network, batch_size=size)
        # The first steps are slower.
        trainer.run_epoch()
        started = time.monotonic()
        trainer.run_epoch()
        learned = len(rows.learned) + SHARE_OF_JUDGING * len(rows.judged)
        return (time.monotonic() - started) * learned / len(few)


def make_clock(setting: Setting, depth: Depth, left: float) -> Clock:
    """The clock of a depth's trainings; without joined folds a trial is the final one, too."""
    folds = setting.material.folds
    path = find_clock_file(checkpoint.find_scratch(setting.spec.scratch_uri), depth)
    again = len(folds) / (len(folds) - 1) if folds.joined else 0.0
    return Clock(path, setting.key, left, again)


def _fit_head(spec: TrainSpec, recipe: Recipe) -> Fit:
    return Fit(recipe, spec.seed, spec.max_epochs, spec.patience, spec.min_delta, spec.classes)


def clear_scratch(folder: Path) -> None:
    """Remove maps, pictures, clocks and studies of a training, and what killed attempts left."""
    patterns = (MAPS_PATTERN, PICTURES_PATTERN, CLOCK_PATTERN, STUDY_PATTERN)
    checkpoint.remove_files(folder, *patterns)
