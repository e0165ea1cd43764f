"""What heads say of samples that they have not learned from: a wrong label is not believed there.

The search's best head is fitted once more on all but one of up to five grouped, stratified folds of
the train and val side, and answers the one left out. All folds are fitted side by side, so with few
classes it costs about what a trial does; above MOST_OUTPUTS or MOST_SCORES it is left out. Where
more was trained, too, the head that it began with stands for it.

By the same scores thresholds are chosen, where the task has any.
"""

import io
import time
import traceback
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from serving.job import store
from serving.job.search import Trial
from training.search.fold_fit import FoldData, FoldFit, scale_all
from training.search.folds import deal_all
from training.search.search import Material
from training.spec import TrainSpec
from training.tasks.protocol import Floats, Integers, TaskModel
from training.winner import Winner

OUT_OF_FOLD_FILE = "out_of_fold.parquet"
ONE_GROUP = "each class is one group"
# All heads together see about so many samples in all epochs, half a minute of one core with few
# classes: of more, each learns from a part, and from so many of every class at least, which are
# more where there are many classes. All are scored.
MOST_SEEN, LEAST_OF_CLASS = 1_000_000, 20
# Samples seen x classes, one to two minutes of one core; samples scored x classes, 80 bytes each.
MOST_OUTPUTS, MOST_SCORES = 300_000_000, 20_000_000


@dataclass(frozen=True)
class OutOfFold:
    """Where the scores lie, empty where there are none, and the thresholds, one a class or none."""

    uri: str
    thresholds: tuple[float, ...]


class UnscoredError(Exception):
    """Why no sample is scored: the end of a sentence."""


def find_head(winner: Winner) -> Trial:
    """The chosen head's trial; where more was trained, too, that of the head it began with."""
    recipe = (winner.resolved.base or winner.resolved).recipe
    tried = winner.found.search.trials
    return next(one for one in tried if one.recipe == recipe and one.state == "finished")


def thin_out(rows: Integers, strata: Integers, most: int, chance: np.random.Generator) -> Integers:
    """At most as many of the rows as are wanted and LEAST_OF_CLASS of every stratum, of all alike.

    strata: of every sample, as Samples has them.
    """
    if len(rows) <= most:
        return rows
    drawn = chance.permutation(rows)
    own = strata[drawn]
    counts = np.bincount(own)
    places = np.empty(len(drawn), np.int64)
    places[np.argsort(own, kind="stable")] = np.concatenate([np.arange(n) for n in counts])
    allowed = np.maximum(LEAST_OF_CLASS, counts * most // len(rows))
    chosen: Integers = drawn[places < allowed[own]]
    return chosen


def score_out_of_fold(
    spec: TrainSpec, head: Trial, material: Material, task: TaskModel
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Places of the samples that a trial's heads score, and scores [n, classes]; UnscoredError.

    A sample whose class (of several, the rarest) is in no other fold has none: a head that has not
    met it would doubt it.
    """
    samples = material.samples
    check_bound(len(samples), len(spec.classes), most=MOST_SCORES, what="samples")
    folds = deal_all(samples, spec.seed)
    if not folds.folds:
        raise UnscoredError(ONE_GROUP)
    chance = np.random.default_rng([spec.seed, 2])
    most = MOST_SEEN // (len(folds) * head.best_epoch)
    thinned = tuple(
        replace(fold, train=thin_out(fold.train, samples.strata, most, chance))
        for fold in folds.folds
    )
    folds = replace(folds, folds=thinned)
    seen = head.best_epoch * sum(len(fold.train) for fold in thinned)
    check_bound(seen, len(spec.classes), most=MOST_OUTPUTS, what="samples to learn from")
    name = head.recipe.input
    data = FoldData(
        samples=samples,
        folds=folds,
        features=scale_all(material.vectors[name], material.find_scaling(name)),
        classes=len(spec.classes),
    )
    fit = FoldFit(data, task, head.recipe, spec.seed)
    for _ in range(head.best_epoch):
        fit.run_epoch()
    strata = samples.strata
    met = [np.isin(strata[one.held_out], strata[one.train]) for one in folds.folds]
    known = np.concatenate(met)
    outputs, held = fit.predict()[known], folds.held_out[known]
    if not len(held):
        raise UnscoredError(ONE_GROUP)
    temperature = task.measure(outputs, samples.targets[held]).temperature
    scores = task.to_scores(outputs, temperature)
    if not np.isfinite(scores).all():
        raise UnscoredError("the loss grew beyond all bounds")
    return held, scores


def check_bound(samples: int, classes: int, *, most: int, what: str) -> None:
    """UnscoredError where samples x classes would take too long, or too much memory."""
    if samples * classes > most:
        raise UnscoredError(
            f"{samples:,} {what} x {classes:,} classes are more than {most:,}, and would take too "
            "long or too much memory"
        )


def write_out_of_fold(
    spec: TrainSpec, winner: Winner, material: Material, task: TaskModel
) -> OutOfFold:
    """Score, and choose thresholds by the scores; without any the model is finished, too.

    Then the thresholds are chosen by the val side, if the winner has not learned from it.
    """
    try:
        found = _write(spec, find_head(winner), material, task)
        # Where more was trained, too, scores of a head alone are another network's.
        if winner.found.search.chosen.recipe.depth == "head" or winner.trained.outputs is None:
            return found
        return replace(found, thresholds=_choose_by_val(spec, winner, material, task))
    except UnscoredError as reason:
        why = str(reason)
    except Exception as error:  # noqa: BLE001 - whatever it is, the training is finished
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"
    print(f"No sample is scored out of fold: {why}.", flush=True)
    return OutOfFold("", _choose_by_val(spec, winner, material, task))


def _choose_by_val(
    spec: TrainSpec, winner: Winner, material: Material, task: TaskModel
) -> tuple[float, ...]:
    outputs, rows = winner.trained.outputs, material.folds.held_out
    if outputs is None:
        outputs, rows = np.zeros((0, len(spec.classes)), np.float32), rows[:0]
    scores = task.to_scores(outputs, winner.measured.temperature)
    return task.choose_thresholds(scores, material.samples.targets[rows], spec.min_precision)


def _write(spec: TrainSpec, head: Trial, material: Material, task: TaskModel) -> OutOfFold:
    started = time.monotonic()
    held, scores = score_out_of_fold(spec, head, material, task)
    offsets = np.arange(0, scores.size + 1, scores.shape[1], dtype=np.int64)
    lists = pa.LargeListArray.from_arrays(offsets, pa.array(scores.ravel()))
    hashes = [material.samples.sha256[place] for place in held]
    table = pa.table({"sha256": hashes, "scores": lists.cast(pa.list_(pa.float32()))})
    file = io.BytesIO()
    pq.write_table(table, file)
    uri = store.join(spec.output_uri, OUT_OF_FOLD_FILE)
    store.write_bytes(uri, file.getvalue())
    targets = material.samples.targets[held]
    thresholds = task.choose_thresholds(scores, targets, spec.min_precision)
    seconds = time.monotonic() - started
    print(f"{len(held)} samples scored out of fold in {seconds:.1f} s.", flush=True)
    return OutOfFold(uri, thresholds)
