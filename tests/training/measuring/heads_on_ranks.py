"""Script for the launcher: one training of a head, or one search, on matrices in a folder."""

import json
import sys
import time
from pathlib import Path
from typing import Literal, cast
from unittest.mock import patch

import numpy as np

from serving.job.inputs import InputFeatures
from training import checkpoint
from training.batches import choose_batch_size
from training.fit import Fit, Rows
from training.loop import train_head
from training.ranks import Ranks, join_ranks
from training.search import search as module
from training.search.folds import make_folds
from training.search.search import Material
from training.search.space import first_recipes
from training.search.study import find_study_file
from training.sources import Features
from training.spec import TrainSpec
from training.tasks.protocol import Integers, Samples, load_task
from training.vectors import Vectors, find_scaling

Asked = Literal["train", "search"]
CLASSES, EPOCHS, TRIALS = 100, 20, 30


class Saved(Vectors):
    """Matrices of a folder."""

    def __init__(self, inputs: tuple[InputFeatures, ...], folder: Path) -> None:
        self.inputs = {given.name: given for given in inputs}
        self._read = {name: np.load(folder / f"{name}.npy") for name in self.inputs}


def train(folder: Path, ranks: Ranks) -> dict[str, object]:
    """All epochs on all vectors; none is kept to stop by."""
    features, targets = np.load(folder / "vectors.npy"), np.load(folder / "targets.npy")
    count = len(targets)
    rows = Rows(
        inputs=Features(features),
        targets=targets,
        weights=np.ones(count, np.float32),
        learned=np.arange(count),
        judged=np.zeros(0, np.int64),
        scaling=find_scaling(features, np.arange(count)),
    )
    recipe = first_recipes(["vectors"], None, choose_batch_size(count))[0]
    fit = Fit(recipe, 0, EPOCHS, EPOCHS, 0.0, tuple(map(str, range(CLASSES))))
    task = load_task("classification")[1]
    ranks.wait()
    started, cpu = time.monotonic(), time.process_time()
    trained = train_head(fit, ranks, rows, task, folder.as_uri())
    losses = [epoch.train_loss for epoch in trained.progress.epochs]
    return {**_measure(started, cpu), "loss": round(losses[-1], 4)}


def search(folder: Path, ranks: Ranks) -> dict[str, object]:
    """As a run does, though nothing but the last trial ends it."""
    inputs = json.loads((folder / "inputs.json").read_text())
    targets = np.load(folder / "targets.npy")
    spec = TrainSpec(
        output_uri=folder.as_uri(),
        run_id="bench",
        dataset="bench",
        snapshot_id="",
        labels_uri="",
        inputs=tuple(InputFeatures.model_validate(one) for one in inputs),
        scratch_uri=folder.as_uri(),
        classes=tuple(map(str, np.unique(targets))),
        code_version="",
        seed=0,
        max_trials=TRIALS,
    )
    samples = make_samples(targets)
    material = Material(samples, make_folds(samples, spec.seed), Saved(spec.inputs, folder))
    path = find_study_file(checkpoint.find_scratch(spec.scratch_uri))
    ranks.wait()
    started, cpu = time.monotonic(), time.process_time()
    task = load_task(spec.task)[1]
    with patch.object(module, "STALE_TRIALS", TRIALS):
        found = module.Searcher(spec, ranks, task, material, path).run().search
    return {**_measure(started, cpu), "trials": len(found.trials)}


def _measure(started: float, cpu: float) -> dict[str, object]:
    """Rank 0's seconds by the clock, and on its core."""
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def make_samples(targets: Integers) -> Samples:
    """Samples that count alike, none of them like another, and no val side."""
    count = len(targets)
    return Samples(
        sha256=tuple(map(str, range(count))),
        targets=targets,
        strata=targets,
        val=np.zeros(count, bool),
        groups=np.arange(count),
        weights=np.ones(count, np.float32),
        repeats=np.ones(count, np.int64),
    )


def main() -> None:
    """Measure; rank 0 writes it down."""
    asked, folder = cast(Asked, sys.argv[1]), Path(sys.argv[2])
    ranks = join_ranks("cpu")
    found = {"train": train, "search": search}[asked](folder, ranks)
    if ranks.leads:
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
