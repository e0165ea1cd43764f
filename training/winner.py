"""The search and what follows it: the best recipe, trained on all ranks together."""

import math
from dataclasses import dataclass, replace

import numpy as np

from serving.job.inputs import InputFeatures
from serving.job.search import Recipe, Search
from training import checkpoint
from training.fit import Fit, Rows, Trained
from training.head_weights import Start, read_start
from training.loop import train_head
from training.ranks import Ranks
from training.resolved import resolve
from training.search.search import Found, Material, Searcher, find_earlier
from training.search.study import find_study_file
from training.sources import Features
from training.spec import Resolved, TrainSpec, WarmStart
from training.tasks.protocol import Measured, TaskModel

REASONS = {
    "max_trials": "that many were asked for",
    "budget": "its time is over",
    "no_gain": "more trials would hardly gain anything",
}


@dataclass(frozen=True)
class Winner:
    """The recipe that was trained, and how."""

    found: Found
    given: InputFeatures
    trained: Trained
    resolved: Resolved

    @property
    def measured(self) -> Measured:
        """Of samples that the judged head did not learn from."""
        return self.trained.measured or self.found.fitted.best

    @property
    def best_epoch(self) -> int:
        """Epochs behind the weights."""
        return self.trained.progress.best_epoch


def find_winner(spec: TrainSpec, ranks: Ranks, material: Material, task: TaskModel) -> Winner:
    """Search, then train the best recipe; the same on every rank."""
    found = _search(spec, ranks, material, task)
    recipe = found.search.chosen.recipe
    if ranks.leads:
        print(_describe(found.search), flush=True)
    fit = Fit(
        recipe=recipe,
        seed=spec.seed,
        epochs=found.fitted.best_epoch if material.folds.joined else spec.max_epochs,
        patience=spec.patience,
        min_delta=spec.min_delta,
        classes=spec.classes,
    )
    if (warm := find_start(spec, material, recipe)) is not None:
        fit = go_on(fit, read_start(warm), material)
        if ranks.leads:
            print(f"Going on from the head of run {warm.run_id}.", flush=True)
    trained = train_head(fit, ranks, select_rows(material, recipe), task, spec.scratch_uri)
    resolved = resolve(fit, ranks, spec.code_version, warm)
    return Winner(found, material.vectors.inputs[recipe.input], trained, resolved)


def _search(spec: TrainSpec, ranks: Ranks, material: Material, task: TaskModel) -> Found:
    """Search on the first machine's ranks, whose disk holds the study; the same on every rank."""
    told = ""
    if ranks.node == 0:
        path = find_study_file(checkpoint.find_scratch(spec.scratch_uri))
        found = Searcher(spec, ranks.here, task, material, path).run()
        if ranks.nodes == 1:
            return found
        told = found.model_dump_json()
    ranks.wait()
    return Found.model_validate_json(ranks.broadcast(told.encode()))


def find_start(spec: TrainSpec, material: Material, recipe: Recipe) -> WarmStart | None:
    """The head that this recipe can go on from; None where it is another kind of head.

    One that has seen the val side cannot be judged by it.
    """
    warm = find_earlier(spec)
    if warm is None or warm.joined != material.folds.joined:
        return None
    backbone = material.vectors.inputs[recipe.input].backbone
    alike = (recipe.input, recipe.head, recipe.hidden, backbone.sha256) == (
        *(warm.recipe.input, warm.recipe.head, warm.recipe.hidden),
        warm.backbone_sha256,
    )
    return warm if alike else None


def go_on(fit: Fit, start: Start, material: Material) -> Fit:
    """The same fit from weights that are there: where nothing stops it, half the epochs do."""
    epochs = math.ceil(fit.epochs / 2) if material.folds.joined else fit.epochs
    return replace(fit, start=start, epochs=epochs)


def select_rows(material: Material, recipe: Recipe) -> Rows:
    """All that the final training sees: with a val side that is too small to judge by, that too."""
    folds = material.folds
    none = np.zeros(0, np.int64)
    return Rows(
        inputs=Features(material.vectors[recipe.input]),
        targets=material.samples.targets,
        weights=folds.weights,
        learned=folds.learned,
        judged=none if folds.joined else folds.held_out,
        scaling=material.find_scaling(recipe.input),
    )


def _describe(search: Search) -> str:
    chosen = search.chosen
    judged = "the val side" if search.folds == 1 else f"{search.folds} folds of train and val"
    return (
        f"Search ended after {len(search.trials)} trials and {search.seconds:.0f} s: "
        f"{REASONS[search.ended_because]}. Best: {chosen.recipe.input}, {chosen.recipe.head} head, "
        f"accuracy {chosen.accuracy:.4f}, loss {chosen.loss:.4f} on {judged}."
    )
