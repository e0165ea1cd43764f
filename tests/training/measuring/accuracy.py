"""The measuring part of ./modelmill bench accuracy; runs in the jobs' environment."""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import paddle

from serving.job.search import Depth
from tests.training.measuring.baselines import (
    FROZEN,
    HAND_SET,
    HAND_SET_INPUT,
    Answers,
    find_gains,
    fit_frozen,
)
from tests.training.measuring.features import Table, compute_features, make_table
from tests.training.measuring.heads_on_ranks import make_samples
from tests.training.measuring.pictures import read_cells, read_digits, read_photos
from training.deepen import find_deepest
from training.depths import split_network
from training.ranks import Ranks
from training.search.folds import make_folds
from training.search.search import Material
from training.spec import TrainSpec
from training.tasks.protocol import Integers, load_task
from training.vectors import Vectors
from training.winner import Winner

ALONE = Ranks(rank=0, size=1, device="cpu")
PER_CLASS = (5, 10, 20, 50)


class Given(Vectors):
    """Matrices that are there."""

    def __init__(self, table: Table, rows: Integers) -> None:
        self.inputs = {given.name: given for given in table.inputs}
        self._read = {name: table.matrices[name][rows] for name in self.inputs}


def search(table: Table, rows: Integers, seed: int, options: argparse.Namespace) -> Winner:
    """What a run does between its features and its bundle, on these pictures."""
    labels = [table.pictures[row].label for row in rows]
    classes = tuple(sorted(set(labels)))
    places = {name: place for place, name in enumerate(classes)}
    targets = np.array([places[label] for label in labels], np.int64)
    samples = make_samples(targets)
    val = np.array([table.pictures[row].side == "val" for row in rows])
    samples = replace(samples, val=val)

    def read_contents(wanted: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        return ((place, table.pictures[rows[place]].content) for place in wanted)

    material = Material(samples, make_folds(samples, seed), Given(table, rows), read_contents)
    with tempfile.TemporaryDirectory() as scratch:
        spec = TrainSpec(
            output_uri=Path(scratch).as_uri(),
            run_id="bench",
            dataset="bench",
            snapshot_id="",
            labels_uri="",
            inputs=table.inputs,
            scratch_uri=Path(scratch).as_uri(),
            classes=classes,
            code_version="",
            seed=seed,
            max_trials=options.trials,
            deepest=options.deepest,
            search_seconds=options.seconds,
        )
        # What the search says is progress; standard output is for findings.
        with redirect_stdout(sys.stderr):
            return find_deepest(spec, ALONE, material, load_task(spec.task)[1])


def compare(
    table: Table, rows: Integers, seed: int, options: argparse.Namespace
) -> dict[str, object]:
    """One searched model and what it is compared with, on the test side."""
    test = np.array([i for i, one in enumerate(table.pictures) if one.side == "test"])
    labels = np.array([one.label for one in table.pictures])
    started = time.monotonic()
    winner = search(table, rows, seed, options)
    taken = time.monotonic() - started
    searched = ask(winner, table, rows, test)
    chosen = winner.found.search.chosen.recipe
    found: dict[str, object] = {
        "recipe": f"{chosen.input}, {chosen.head}",
        "depth": chosen.depth,
        "trials": len(winner.found.search.trials),
        "ended": winner.found.search.ended_because,
        "seconds": round(taken, 1),
        **searched.judge(""),
    }
    others = {name: fit_frozen(name, table, rows, labels, test) for name in FROZEN}
    # No more time than the search had: early stopping ends it long before.
    alone = replace(table, inputs=tuple(g for g in table.inputs if g.name == HAND_SET_INPUT))
    single = argparse.Namespace(trials=1, deepest="head", seconds=taken)
    others[HAND_SET] = ask(search(alone, rows, seed, single), table, rows, test)
    for name, other in others.items():
        found |= {**other.judge(name), **find_gains(name, searched, other)}
    return found


def ask(winner: Winner, table: Table, rows: Integers, test: Integers) -> Answers:
    """What the trained model says of the test pictures."""
    head, body = split_network(winner.trained.head)
    features = table.matrices[winner.given.name][test]
    if body is not None:
        features = compute_features([table.pictures[row] for row in test], winner.given, body)
    labels = np.array([one.label for one in table.pictures])
    outputs = head(paddle.to_tensor(features)).numpy()
    return Answers(labels[test], np.unique(labels[rows])[outputs.argmax(axis=1)])


def draw_few(table: Table, per_class: int, seed: int) -> Integers:
    """Some train pictures of each class."""
    chance = np.random.default_rng([seed, per_class])
    chosen: list[int] = []
    for label in sorted({one.label for one in table.pictures}):
        own = [
            i for i, one in enumerate(table.pictures) if one.label == label and one.side == "train"
        ]
        chosen += chance.choice(own, per_class, replace=False).tolist()
    return np.array(sorted(chosen))


def measure(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """One finding after the other."""
    if options.photos:
        table = make_table(read_photos(options.photos), options.work)
        for per_class in options.few:
            for draw in range(options.draws):
                rows = draw_few(table, per_class, draw)
                found = compare(table, rows, draw, options)
                yield {"what": "photos", "per_class": per_class, "draw": draw, **found}
        yield from _measure_whole("photos", table, options)
    if options.digits:
        table = make_table(read_digits(), options.work)
        yield from _measure_whole("digits", table, options)
    if options.cells:
        table = make_table(read_cells(options.cells), options.work)
        yield from _measure_whole("cells", table, options)


def _measure_whole(
    what: str, table: Table, options: argparse.Namespace
) -> Iterator[dict[str, object]]:
    rows = np.array([i for i, one in enumerate(table.pictures) if one.side != "test"])
    for seed in range(options.seeds):
        yield {"what": what, "seed": seed, **compare(table, rows, seed, options)}


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="./modelmill bench accuracy")
    parser.add_argument("--photos", type=Path, help="folder with train/ and val/")
    parser.add_argument("--cells", type=Path, help="BCCD's folder")
    parser.add_argument("--digits", action="store_true", help="scikit-learn's digits")
    parser.add_argument("--seeds", type=int, default=5, help="seeds on the whole train side")
    parser.add_argument("--draws", type=int, default=8, help="draws of few pictures a class")
    parser.add_argument("--few", type=int, nargs="*", default=PER_CLASS, help="pictures a class")
    parser.add_argument("--trials", type=int, default=30, help="trials a search; 0: no limit")
    parser.add_argument("--seconds", type=float, default=150, help="of a search; 0: no limit")
    parser.add_argument("--deepest", default="head", choices=get_args(Depth))
    parser.add_argument("--work", type=Path, help="where features are kept; default: nowhere")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        options.work = options.work or Path(name)
        options.work.mkdir(parents=True, exist_ok=True)
        for found in measure(options):
            print(json.dumps({"benchmark": "accuracy", **found}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
