"""When samples are not scored out of fold, and that the training does not end by it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from serving.job import store
from serving.job.search import Recipe, Search, Trial
from tests.training.conftest import MakeSpec
from tests.training.fitting import ALONE, fit_alone, fit_of, material_of
from training import out_of_fold
from training.out_of_fold import LEAST_OF_CLASS, thin_out, write_out_of_fold
from training.resolved import resolve
from training.search import folds
from training.search.search import Found
from training.search.trial import Fitted
from training.spec import TrainSpec
from training.tasks.protocol import load_task
from training.winner import Winner


def search_of(spec: TrainSpec) -> Search:
    """As if a head alone had been the only trial, and its second epoch the best."""
    trial = Trial(
        number=0,
        recipe=Recipe(input=spec.inputs[0].name),
        state="finished",
        loss=0.5,
        accuracy=0.9,
        best_epoch=2,
        latency_ms=12.0,
        model_mb=13.5,
        seconds=1.0,
        allowed=True,
    )
    return Search(
        trials=(trial,), best=0, ended_because="max_trials", folds=5, repeats=True, seconds=1.0
    )


def winner_of(spec: TrainSpec) -> Winner:
    """That trial's head, as if the val side were large enough to stop by."""
    trained = fit_alone(spec)
    assert trained.measured is not None
    fitted = Fitted(best=trained.measured, best_epoch=2, val_loss=(), val_accuracy=())
    return Winner(
        found=Found(search=search_of(spec), fitted=fitted),
        given=spec.inputs[0],
        trained=trained,
        resolved=resolve(fit_of(spec), ALONE, spec.code_version, None),
    )


def score(spec: TrainSpec) -> str:
    task = load_task(spec.task)[1]
    return write_out_of_fold(spec, winner_of(spec), material_of(spec), task).uri


# 84 samples of three classes; in two epochs, five heads meet 4 x 84 of them each.
@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"MOST_SCORES": 252, "MOST_OUTPUTS": 2016}, ""),
        ({"MOST_SCORES": 251}, "84 samples x 3 classes are more than 251"),
        ({"MOST_OUTPUTS": 2015}, "672 samples to learn from x 3 classes are more than 2,015"),
    ],
)
def test_too_many_for_the_classes(
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limits: dict[str, int],
    why: str,
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(out_of_fold, name, value)
    uri = score(make_spec())
    printed = capsys.readouterr().out
    assert ("84 samples scored out of fold" in printed) == bool(uri) == (not why)
    assert why in printed


def test_a_failure_does_not_end_a_finished_training(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(uri: str, content: bytes) -> None:
        raise MemoryError(f"{len(content)} bytes")

    monkeypatch.setattr(store, "write_bytes", fail)
    assert score(make_spec()) == ""
    assert "No sample is scored out of fold: MemoryError: " in capsys.readouterr().out


def test_without_scores_the_val_side_chooses_thresholds(
    make_spec: MakeSpec, several_labels: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold, "MOST_SCORES", 0)
    monkeypatch.setattr(folds, "LEAST_VAL", 1)
    spec = make_spec(**several_labels)
    winner, material, task = winner_of(spec), material_of(spec), load_task(spec.task)[1]
    assert not material.folds.joined
    assert winner.trained.outputs is not None
    found = write_out_of_fold(spec, winner, material, task)
    assert found.uri == ""
    scores = task.to_scores(winner.trained.outputs, winner.measured.temperature)
    wanted = material.samples.targets[material.samples.val]

    def rate(thresholds: tuple[float, ...]) -> Any:
        return f1_score(wanted, scores >= np.asarray(thresholds, np.float32), average=None)

    assert (rate(found.thresholds) >= rate((0.5,) * 3)).all()
    assert rate(found.thresholds).sum() > rate((0.5,) * 3).sum()
    # A head that has learned from the val side cannot be judged by it.
    blind = replace(winner, trained=replace(winner.trained, outputs=None))
    assert write_out_of_fold(spec, blind, material, task).thresholds == (0.5,) * 3


def test_last_blocks_of_their_own_have_thresholds_of_their_own(
    make_spec: MakeSpec, several_labels: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "LEAST_VAL", 1)
    spec = make_spec(**several_labels)
    head, material, task = winner_of(spec), material_of(spec), load_task(spec.task)[1]
    search = head.found.search
    recipe = search.chosen.recipe.model_copy(update={"depth": "last_blocks"})
    trial = search.chosen.model_copy(update={"number": 1, "recipe": recipe})
    deeper = search.model_copy(update={"trials": (*search.trials, trial), "best": 1})
    deep = replace(head, found=Found(search=deeper, fitted=head.found.fitted))
    found = write_out_of_fold(spec, deep, material, task)
    by_head = write_out_of_fold(spec, head, material, task)
    monkeypatch.setattr(out_of_fold, "MOST_SCORES", 0)
    by_val = write_out_of_fold(spec, deep, material, task)
    assert found.uri and by_head.uri and not by_val.uri
    assert found.thresholds == by_val.thresholds != by_head.thresholds


def test_thinned_out_to_what_is_stated() -> None:
    targets = np.arange(6000) % 100
    kept = thin_out(np.arange(6000), targets, most=50, chance=np.random.default_rng(0))
    assert set(np.bincount(targets[kept])) == {LEAST_OF_CLASS}
    few = thin_out(np.arange(6000), targets % 2, most=50, chance=np.random.default_rng(0))
    assert len(few) == 50
