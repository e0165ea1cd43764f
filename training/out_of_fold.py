"""What heads say of samples that they have not learned from: a wrong label is not believed there.

The search's best head is fitted once more on all but one of up to five grouped, stratified folds of
the train and val side, and answers the one left out. All folds are fitted side by side, so it costs
about what a trial does. Where the last blocks were trained, too, the head that they began with
stands for them.
"""

import io
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import paddle
import pyarrow as pa
import pyarrow.parquet as pq

from serving.job import store
from serving.job.search import Search, Trial
from training.search.fold_fit import FoldData, FoldFit
from training.search.folds import deal_all
from training.search.search import Material
from training.spec import TrainSpec
from training.tasks.protocol import Floats, Integers, TaskModel

OUT_OF_FOLD_FILE = "out_of_fold.parquet"
# All heads together see at most so many samples in all epochs, about half a minute of one core: of
# more, each learns from a part, and from so many of every class at least. All are scored.
MOST_SEEN, LEAST_OF_CLASS = 1_000_000, 20


def find_head(search: Search) -> Trial:
    """The best trial of a head alone."""
    heads = [
        (trial.loss, trial.number, trial)
        for trial in search.trials
        if trial.loss is not None and trial.allowed and trial.recipe.depth == "head"
    ]
    return min(heads)[2]


def thin_out(rows: Integers, targets: Integers, most: int, chance: np.random.Generator) -> Integers:
    """About as many of the rows as are wanted, of each class alike; rare classes keep more."""
    if len(rows) <= most:
        return rows
    drawn = chance.permutation(rows)
    own = targets[drawn]
    counts = np.bincount(own)
    places = np.empty(len(drawn), np.int64)
    places[np.argsort(own, kind="stable")] = np.concatenate([np.arange(n) for n in counts])
    allowed = np.maximum(LEAST_OF_CLASS, counts * most // len(rows))
    chosen: Integers = drawn[places < allowed[own]]
    return chosen


def score_out_of_fold(
    spec: TrainSpec, search: Search, material: Material, task: TaskModel
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Places of the scored samples, and their scores [n, classes].

    A sample whose class is in no other fold has none: a head that has not met it would doubt it.
    """
    head, samples = find_head(search), material.samples
    folds = deal_all(samples, spec.seed)
    if not folds.folds:
        return np.zeros(0, np.int64), np.zeros((0, len(spec.classes)), np.float32)
    chance = np.random.default_rng([spec.seed, 2])
    most = MOST_SEEN // (len(folds) * head.best_epoch)
    thinned = tuple(
        replace(fold, train=thin_out(fold.train, samples.targets, most, chance))
        for fold in folds.folds
    )
    folds = replace(folds, folds=thinned)
    name = head.recipe.input
    data = FoldData(
        samples=samples,
        folds=folds,
        features=paddle.to_tensor(material.vectors[name]),
        scaling=material.find_scaling(name),
        classes=len(spec.classes),
    )
    fit = FoldFit(data, task, head.recipe, spec.seed)
    for _ in range(head.best_epoch):
        fit.run_epoch()
    targets = samples.targets
    met = [np.isin(targets[one.held_out], targets[one.train]) for one in folds.folds]
    known = np.concatenate(met)
    outputs, held = fit.predict()[known], folds.held_out[known]
    if not len(held):
        return held, outputs
    temperature = task.measure(outputs, targets[held]).temperature
    return held, task.to_scores(outputs, temperature)


def write_out_of_fold(spec: TrainSpec, search: Search, material: Material, task: TaskModel) -> str:
    """Where the scores lie; empty where the heads did not come to numbers."""
    started = time.monotonic()
    held, scores = score_out_of_fold(spec, search, material, task)
    if not len(held) or not np.isfinite(scores).all():
        why = "the loss grew beyond all bounds" if len(held) else "each class is one group"
        print(f"No sample is scored out of fold: {why}.", flush=True)
        return ""
    offsets = np.arange(0, scores.size + 1, scores.shape[1], dtype=np.int64)
    lists = pa.LargeListArray.from_arrays(offsets, pa.array(scores.ravel()))
    hashes = [material.samples.sha256[place] for place in held]
    table = pa.table({"sha256": hashes, "scores": lists.cast(pa.list_(pa.float32()))})
    file = io.BytesIO()
    pq.write_table(table, file)
    uri = store.join(spec.output_uri, OUT_OF_FOLD_FILE)
    store.write_bytes(uri, file.getvalue())
    seconds = time.monotonic() - started
    print(f"{len(held)} samples scored out of fold in {seconds:.1f} s.", flush=True)
    return uri
