"""The final training of a tiny snapshot, without a search before it."""

from dataclasses import replace
from typing import Any

import numpy as np

from serving.job.search import Recipe
from training.fit import Fit, Rows, Trained
from training.loop import train_head
from training.ranks import Ranks
from training.search.search import Material, gather_material
from training.spec import TrainSpec
from training.tasks.protocol import load_task
from training.winner import select_rows

ALONE = Ranks(rank=0, size=1, device="cpu")


def fit_of(spec: TrainSpec, **changes: Any) -> Fit:
    """The hand-set recipe on the first input."""
    recipe = Recipe(input=spec.inputs[0].name, **changes)
    return Fit(recipe, spec.seed, spec.max_epochs, spec.patience, spec.min_delta, spec.classes)


def material_of(spec: TrainSpec) -> Material:
    """Everything that is read of a snapshot."""
    return gather_material(spec, load_task(spec.task)[0])


def rows_of(spec: TrainSpec) -> Rows:
    """As if the val side were large enough to stop by."""
    material = material_of(spec)
    rows = select_rows(material, fit_of(spec).recipe)
    val = material.samples.val
    return replace(rows, learned=np.flatnonzero(~val), judged=np.flatnonzero(val))


def fit_alone(spec: TrainSpec, rows: Rows | None = None, **changes: Any) -> Trained:
    """Train in this process."""
    task = load_task(spec.task)[1]
    chosen = rows_of(spec) if rows is None else rows
    return train_head(fit_of(spec, **changes), ALONE, chosen, task, spec.scratch_uri)
