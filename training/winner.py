"""The search and what follows it: the best recipe, trained on all ranks together."""

from dataclasses import dataclass

import numpy as np

from serving.job.inputs import InputFeatures
from serving.job.search import Recipe, Search
from training import checkpoint
from training.loop import Fit, Rows, Trained, train_head
from training.ranks import Ranks
from training.resolved import resolve
from training.search.search import Found, Material, Searcher
from training.search.study import find_study_file
from training.spec import Resolved, TrainSpec
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
    path = find_study_file(checkpoint.find_scratch(spec.scratch_uri))
    found = Searcher(spec, ranks, task, material, path).run()
    recipe = found.search.chosen.recipe
    if ranks.leads:
        print(_describe(found.search), flush=True)
    fit = Fit(
        recipe=recipe,
        seed=spec.seed,
        epochs=found.fitted.best_epoch if material.folds.joined else spec.max_epochs,
        patience=spec.patience,
        min_delta=spec.min_delta,
        classes=len(spec.classes),
    )
    trained = train_head(fit, ranks, select_rows(material, recipe), task, spec.scratch_uri)
    resolved = resolve(fit, ranks, spec.code_version)
    return Winner(found, material.vectors.inputs[recipe.input], trained, resolved)


def select_rows(material: Material, recipe: Recipe) -> Rows:
    """All that the final training sees: with a val side that is too small to judge by, that too."""
    folds = material.folds
    none = np.zeros(0, np.int64)
    return Rows(
        features=material.vectors[recipe.input],
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
