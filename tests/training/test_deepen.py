"""Last blocks trained after the search, on tiny data with the real network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.bundle.predictor import Predictor
from serving.job.search import Search
from tests.training.conftest import CLASSES, make_input
from tests.training.fitting import ALONE, deepen_on_ranks, fit_of, material_of, rows_of, set_up
from training import deepen
from training.checkpoint import Progress
from training.depths import LAST_BLOCKS, fit_deep, train_deep
from training.fit import Fit, Rows, Trained
from training.head_weights import hash_weights
from training.loop import train_head
from training.search.folds import make_folds
from training.spec import ExportBackboneOutcome, TrainOutcome, TrainSpec
from training.tasks.protocol import Samples, load_task
from training.winner import find_winner

MakeSpec = Callable[..., TrainSpec]


@pytest.fixture
def deep_spec(make_spec: MakeSpec, snapshot: Path, backbone: ExportBackboneOutcome) -> MakeSpec:
    given = make_input(snapshot / "features").model_copy(update={"backbone": backbone.file})

    def make(**changes: Any) -> TrainSpec:
        fields: dict[str, Any] = {"inputs": (given,), "deepest": "last_blocks"}
        return make_spec(**(fields | changes))

    return make


def prepare(spec: TrainSpec, epochs: int) -> tuple[Fit, Rows, Trained]:
    setting = set_up(spec, ALONE)
    head = train_head(fit_of(spec), ALONE, rows_of(spec), setting.task, spec.scratch_uri)
    rows = replace(rows_of(spec), inputs=LAST_BLOCKS.open_inputs(setting))
    recipe = LAST_BLOCKS.choose_first(fit_of(spec).recipe, setting.given)
    return fit_deep(spec, recipe, epochs), rows, head


class KilledError(Exception):
    """As if the process had ended here."""


def kill(progress: Progress, trained: int) -> bool:
    assert trained == len(progress.epochs)
    if len(progress.epochs) == 2:
        raise KilledError
    return False


def test_resumed_is_as_uninterrupted(
    deep_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = deep_spec()
    fit, rows, head = prepare(spec, 4)
    whole = train_deep(set_up(spec, ALONE), LAST_BLOCKS, fit, rows, head=head)
    assert len(whole.progress.epochs) == 4
    # It learns, and what it was given stays as it was: the head is trained as a copy.
    losses = [epoch.train_loss for epoch in whole.progress.epochs]
    assert losses[-1] < losses[0]
    monkeypatch.setattr("training.loop.CHECKPOINT_INTERVAL_S", 0.0)
    other = set_up(spec.model_copy(update={"scratch_uri": (tmp_path / "other").as_uri()}), ALONE)
    with pytest.raises(KilledError):
        train_deep(other, LAST_BLOCKS, fit, rows, head=head, is_over=kill)
    asked = []

    def end(progress: Progress, trained: int) -> bool:
        asked.append(trained)
        return True

    early = train_deep(other, LAST_BLOCKS, fit, rows, head=head, is_over=end)
    assert len(early.progress.epochs) == 2
    assert asked == [0]
    resumed = train_deep(other, LAST_BLOCKS, fit, rows, head=head)
    assert hash_weights(resumed.head) == hash_weights(whole.head)
    assert resumed.progress == whole.progress


def refuse(wanted: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """As if pictures could not be read: no maps are made."""
    raise AssertionError(wanted)


def test_few_mistakes_are_left_alone(deep_spec: MakeSpec) -> None:
    spec = deep_spec()
    task = load_task(spec.task)[1]
    material = material_of(spec)
    winner = find_winner(spec, ALONE, material, task)
    wrong = 1 - winner.found.fitted.best.accuracy
    # What judges is one fold: mistakes in the others tell nothing.
    assert wrong * len(material.folds.folds[0].held_out) < deepen.LEAST_MISTAKES
    assert wrong * len(material.samples) > deepen.LEAST_MISTAKES
    again = deepen.find_deepest(spec, ALONE, replace(material, contents=refuse), task)
    assert hash_weights(again.trained.head) == hash_weights(winner.trained.head)
    assert again.found.search.trials[-1].recipe.depth == "head"
    assert again.found.search.repeats


@pytest.mark.parametrize(
    ("samples", "val", "accuracy", "goes_deeper"),
    [
        # Photos that a pretrained backbone knows well, as many as one has at hand.
        (245, 0, 0.96, False),
        (245, 0, 0.90, False),
        (245, 0, 0.80, True),
        # Pictures unlike photos.
        (1528, 258, 0.95, True),
        (1528, 0, 0.95, True),
        (1528, 258, 0.98, False),
    ],
)
def test_gain_is_in_sight(samples: int, val: int, accuracy: float, goes_deeper: bool) -> None:
    folds = make_folds(make_samples(samples, val), seed=0)
    assert deepen.has_gain_in_sight(folds, accuracy) == goes_deeper


def make_samples(count: int, val: int) -> Samples:
    return Samples(
        sha256=tuple(map(str, range(count))),
        targets=np.arange(count) % 2,
        strata=np.arange(count) % 2,
        val=np.arange(count) < val,
        groups=np.arange(count),
        weights=np.ones(count, np.float32),
        repeats=np.ones(count, np.int64),
    )


def test_no_time_no_maps(deep_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepen, "LEAST_MISTAKES", 0)
    monkeypatch.setitem(deepen.LEAST_PASSES, "last_blocks", 1e9)
    spec = deep_spec(search_seconds=600)
    material = replace(material_of(spec), contents=refuse)
    winner = deepen.find_deepest(spec, ALONE, material, load_task(spec.task)[1])
    assert winner.found.search.trials[-1].recipe.depth == "head"
    # The clock decided: with more time, or on a faster machine, it might be another model.
    assert winner.found.search.ended_because == "max_trials"
    assert not winner.found.search.repeats


@pytest.mark.parametrize(("least", "depth"), [(1, "last_blocks"), (3, "head")])
def test_epochs_are_planned_from_timed_steps(
    deep_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    least: int,
    depth: str,
) -> None:
    for name, value in {"LEAST_MISTAKES": 0, "MOST_EPOCHS": 2, "LEAST_EPOCHS": least}.items():
        monkeypatch.setattr(deepen, name, value)
    spec = deep_spec(search_seconds=600, max_trials=1)
    winner = deepen.find_deepest(spec, ALONE, material_of(spec), load_task(spec.task)[1])
    printed = capsys.readouterr().out
    assert winner.found.search.trials[-1].recipe.depth == depth
    assert ("There is time for 2 epochs, too few" in printed) == (depth == "head")
    # Where nothing was cut: the same again where there is as much time.
    assert winner.found.search.repeats == (depth == "last_blocks")


def test_old_accounts_are_readable(deep_spec: MakeSpec) -> None:
    spec = deep_spec()
    winner = find_winner(spec, ALONE, material_of(spec), load_task(spec.task)[1])
    told = winner.found.search.model_dump()
    for trial in told["trials"]:
        del trial["recipe"]["depth"]
    assert Search.model_validate(told) == winner.found.search


@pytest.mark.parametrize("ranks", [1, 2])
def test_job_exports_last_blocks_and_replays(
    deep_spec: MakeSpec, tmp_path: Path, ranks: int
) -> None:
    spec = deep_spec(max_trials=2)
    printed, folder = deepen_on_ranks(spec, ranks, tmp_path)
    outcome = TrainOutcome.model_validate_json((folder / "outcome.json").read_bytes())
    assert outcome.recipe.depth == "last_blocks"
    assert outcome.agreement <= 1e-4
    assert outcome.resolved
    assert outcome.resolved.base
    assert outcome.resolved.base.recipe.depth == "head"
    search = Search.model_validate_json((folder / "search.json").read_bytes())
    assert [trial.recipe.depth for trial in search.trials] == ["head", "head", "last_blocks"]
    pixels = np.random.default_rng(7).integers(0, 256, (3, 224, 224, 3), np.uint8)
    assert Predictor(folder / "bundle").score(list(pixels)).shape == (3, len(CLASSES))
    assert not list((tmp_path / "scratch").iterdir())
    assert "same True" in printed
