"""How well a class's score ranks its samples above the others: ROC-AUC, average precision.

One class against the rest, ties as scikit-learn treats them. The scores of a class meet in one
task, four bytes each, and are sorted there: exact. Above EXACT_UP_TO they meet as a histogram
whose bins count as ties; then `error` says by how much the two may be off.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from serving.bundle.manifest import ONE, Task
from spark_jobs.arrays import make_array, read_matrix
from spark_jobs.metrics.membership import Marks, mark_labels
from spark_jobs.metrics.steps import (
    Scores,
    Steps,
    bin_scores,
    bound_error,
    find_steps,
    rank_class,
    start_of_bin,
    trace_curve,
)

Batches = Iterator[pa.RecordBatch]
EXACT_UP_TO = 10_000_000
# Scores that travel together: 16 MB.
BLOCK = 1 << 22
# Blocks that are folded into one histogram by one task.
PARTS = 64
BLOCKS = "class int, part int, scores binary, positives binary"
BINNED = "class int, bins binary, every binary, positives binary"
RANKED = (
    "class int, positives long, negatives long, roc_auc double, average_precision double, "
    "threshold double, called long, hits long, error double, "
    "false_positive_rate array<double>, recall array<double>, precision array<double>"
)
# Points of a curve, of all curves, and the fewest of one: that of 10,000 classes is rough.
MOST_POINTS, ALL_POINTS, FEWEST_POINTS = 200, 40_000, 12


@dataclass(frozen=True)
class Ranked:
    """One class. called, hits: at the threshold that was given.

    threshold: of the best F1 here, or of the best recall with the precision that was asked for;
    None: the class has no sample, or no threshold has that precision.
    roc_auc, average_precision: None where the class has no sample, or no other class has one.
    error: the most that either may be off; 0: they are exact. The last three: see Curve; None as
    the others.
    """

    positives: int
    negatives: int
    roc_auc: float | None
    average_precision: float | None
    threshold: float | None
    called: int | None
    hits: int | None
    error: float
    false_positive_rate: list[float] | None
    recall: list[float] | None
    precision: list[float] | None


def make_blocks(classes: tuple[str, ...], task: Task = ONE) -> Callable[[Batches], Batches]:
    """Runs in the executors: label, scores → BLOCKS, a class's scores side by side."""

    def write(held: list[tuple[Scores, Marks]], part: int) -> pa.RecordBatch:
        columns = np.ascontiguousarray(np.concatenate([matrix for matrix, _ in held]).T)
        truth = np.concatenate([marks for _, marks in held])
        own = [columns[k][truth[:, k]].tobytes() for k in range(len(classes))]
        arrays = [
            make_array(range(len(classes)), pa.int32()),
            make_array([part] * len(classes), pa.int32()),
            make_array([column.tobytes() for column in columns], pa.binary()),
            make_array(own, pa.binary()),
        ]
        return pa.RecordBatch.from_arrays(arrays, ["class", "part", "scores", "positives"])

    def cut(batches: Batches) -> Batches:
        held: list[tuple[Scores, Marks]] = []
        rows = part = 0
        for batch in batches:
            there, matrix = read_matrix(batch["scores"], len(classes))
            held.append((matrix, mark_labels(batch["label"].to_pylist(), classes, task)[there]))
            rows += len(matrix)
            if rows * len(classes) >= BLOCK:
                yield write(held, part)
                held, rows, part = [], 0, (part + 1) % PARTS
        if rows:
            yield write(held, part)

    return cut


def _join(column: pa.ChunkedArray, kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.frombuffer(b"".join(column.to_pylist()), kind)


def _answer(number: int, found: Mapping[str, Any]) -> pa.Table:
    kinds = {"positives": pa.int64(), "negatives": pa.int64()}
    kinds |= {"called": pa.int64(), "hits": pa.int64()}
    kinds |= dict.fromkeys(("false_positive_rate", "recall", "precision"), pa.list_(pa.float64()))
    arrays = {"class": make_array([number], pa.int32())}
    names = [column.split()[0] for column in RANKED.split(", ")][1:]
    for name in names:
        arrays[name] = make_array([found.get(name)], kinds.get(name, pa.float64()))
    return pa.Table.from_arrays(list(arrays.values()), list(arrays))


def count_points(classes: int) -> int:
    """How many points a curve may have where there are so many."""
    return max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // classes))


Rank = Callable[[tuple[Any, ...], pa.Table], pa.Table]


def _trace(steps: Steps, points: int) -> dict[str, list[float]]:
    return trace_curve(steps, points) if points else {}


def make_ranker(given: tuple[float | None, ...], points: int, min_precision: float = 0.0) -> Rank:
    """All BLOCKS of a class → its row of RANKED. points: of its curve; 0: it has none.

    min_precision: as of rank_class.
    """

    def rank(key: tuple[Any, ...], blocks: pa.Table) -> pa.Table:
        number = int(key[0].as_py())
        scores = _join(blocks["scores"], np.float32)
        steps = find_steps(scores, _join(blocks["positives"], np.float32))
        threshold = given[number]
        called = 0 if threshold is None else int((scores >= np.float32(threshold)).sum())
        found = rank_class(steps, threshold, called, min_precision)
        return _answer(number, found | _trace(steps, points))

    return rank


def fold_blocks(key: tuple[Any, ...], blocks: pa.Table) -> pa.Table:
    """Some BLOCKS of a class → one row of BINNED: occupied bins, and what lies in them."""
    bins, every = np.unique(bin_scores(_join(blocks["scores"], np.float32)), return_counts=True)
    own = np.zeros(len(bins), np.int64)
    places = np.searchsorted(bins, bin_scores(_join(blocks["positives"], np.float32)))
    np.add.at(own, places, 1)
    arrays = [make_array([int(key[0].as_py())], pa.int32())]
    for values in (bins.astype(np.int32), every.astype(np.int64), own):
        arrays.append(make_array([values.tobytes()], pa.binary()))
    return pa.Table.from_arrays(arrays, ["class", "bins", "every", "positives"])


def make_merger(given: tuple[float | None, ...], points: int, min_precision: float = 0.0) -> Rank:
    """All BINNED of a class → its row of RANKED. points, min_precision: as of make_ranker."""

    def merge(key: tuple[Any, ...], parts: pa.Table) -> pa.Table:
        number = int(key[0].as_py())
        bins, places = np.unique(_join(parts["bins"], np.int32), return_inverse=True)
        every, own = np.zeros(len(bins), np.int64), np.zeros(len(bins), np.int64)
        np.add.at(every, places, _join(parts["every"], np.int64))
        np.add.at(own, places, _join(parts["positives"], np.int64))
        there, less = own > 0, np.cumsum(every) - every
        values, total = start_of_bin(bins), int(every.sum())
        steps = Steps(values[there], own[there], less[there], every[there], total)
        threshold = given[number]
        reached = values >= np.float32(0 if threshold is None else threshold)
        found = rank_class(steps, threshold, int(every[reached].sum()), min_precision)
        return _answer(number, found | _trace(steps, points) | {"error": bound_error(steps)})

    return merge


def rank_classes(
    scored: DataFrame,
    classes: tuple[str, ...],
    *,
    samples: int,
    task: Task = ONE,
    thresholds: Mapping[str, float] | None = None,
    exact_up_to: int = EXACT_UP_TO,
    curves: bool = True,
    min_precision: float = 0.0,
) -> dict[str, Ranked]:
    """One action over label, scores; samples: how many have scores. Empty where none has.

    min_precision: as of rank_class.
    """
    points = count_points(len(classes)) if curves else 0
    given = tuple((thresholds or {}).get(name) for name in classes)
    blocks = scored.select("label", "scores").mapInArrow(make_blocks(classes, task), BLOCKS)
    if samples <= exact_up_to:
        rank = make_ranker(given, points, min_precision)
        ranked = blocks.groupBy("class").applyInArrow(rank, RANKED)
    else:
        binned = blocks.groupBy("class", "part").applyInArrow(fold_blocks, BINNED)
        rank = make_merger(given, points, min_precision)
        ranked = binned.groupBy("class").applyInArrow(rank, RANKED)
    rows = [row.asDict() for row in ranked.collect()]
    return {classes[row.pop("class")]: Ranked(**row) for row in rows}
