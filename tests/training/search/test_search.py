from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.job.errors import UserError
from tests.training.conftest import make_input
from tests.training.fitting import ALONE, material_of
from training.checkpoint import find_scratch
from training.search import search as module
from training.search.search import Found, Searcher, choose_inputs
from training.search.study import ask, find_finished, find_study_file, open_study
from training.search.trial import fit_trial
from training.spec import TrainSpec
from training.tasks.protocol import load_task

MakeSpec = Callable[..., TrainSpec]
# Of Optuna's journal, which is marked as experimental.
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def two_inputs(snapshot: Path, tmp_path: Path) -> tuple[Any, Any]:
    """Good vectors, and noise under another backbone's name."""
    noise = tmp_path / "noise"
    noise.mkdir()
    for file in (snapshot / "features").glob("*.parquet"):
        table = pq.read_table(file)
        chance = np.random.default_rng(len(file.name))
        drawn = chance.normal(size=(table.num_rows, 1280)).astype(np.float32)
        column = table["vector"].type
        noisy = table.set_column(1, "vector", pa.array(list(drawn), column))
        pq.write_table(noisy, noise / file.name)
    bad = make_input(noise, name="efficientnet-lite2", latency_ms=30.0, file_bytes=20_000_000)
    return make_input(snapshot / "features"), bad


def search(spec: TrainSpec) -> Found:
    task = load_task(spec.task)[1]
    path = find_study_file(find_scratch(spec.scratch_uri))
    return Searcher(spec, ALONE, task, material_of(spec), path).run()


def recipes(found: Found) -> list[Any]:
    return [(trial.recipe, trial.state, trial.loss) for trial in found.search.trials]


def test_it_finds_the_better_input_and_repeats(
    make_spec: MakeSpec, two_inputs: tuple[Any, Any], tmp_path: Path
) -> None:
    good, bad = two_inputs
    # The worse one first: it is hand-set before the other.
    changes = {"inputs": (bad, good), "max_trials": 9, "max_epochs": 12}
    spec = make_spec(**changes)
    found = search(spec)
    assert found.search.ended_because == "max_trials"
    assert len(found.search.trials) == 9
    assert found.search.repeats
    # First the hand-set head on every input.
    assert {trial.recipe.input for trial in found.search.trials[:2]} == {
        given.name for given in two_inputs
    }
    chosen = found.search.chosen
    assert chosen.recipe.input == good.name
    assert found.fitted.val_loss[found.fitted.best_epoch - 1] == chosen.loss
    assert found.search.front
    again = search(make_spec(**changes, scratch_uri=(tmp_path / "again").as_uri()))
    assert recipes(again) == recipes(found)


@pytest.mark.parametrize("done", [1, 4])
def test_a_killed_search_goes_on_as_it_would_have(
    make_spec: MakeSpec,
    two_inputs: tuple[Any, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    done: int,
) -> None:
    changes = {"inputs": two_inputs, "max_trials": 7, "max_epochs": 6}
    whole = search(make_spec(**changes, scratch_uri=(tmp_path / "whole").as_uri()))
    spec = make_spec(**changes)

    class Killed(BaseException):
        pass

    def die(*arguments: Any) -> Any:
        path = find_study_file(find_scratch(spec.scratch_uri))
        if len(find_finished(open_study(path))) >= done:
            raise Killed
        return fit_trial(*arguments)

    monkeypatch.setattr(module, "fit_trial", die)
    with pytest.raises(Killed):
        search(spec)
    monkeypatch.setattr(module, "fit_trial", fit_trial)
    assert recipes(search(spec)) == recipes(whole)


def test_ranks_together_begin_no_more_trials_than_asked_for(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def ask_after_a_peer(study: Any, seed: int, rank: int) -> Any:
        drawn.append(rank)
        if len(drawn) == 2:
            # Both saw room for one more.
            ask(study, seed, 1)
        return ask(study, seed, rank)

    monkeypatch.setattr(module, "ask", ask_after_a_peer)
    found = search(make_spec(max_trials=2))
    assert found.search.ended_because == "max_trials"
    assert [trial.number for trial in found.search.trials] == [0]


def test_a_changed_spec_begins_anew(make_spec: MakeSpec) -> None:
    first = search(make_spec(max_trials=2))
    assert len(first.search.trials) == 2
    assert len(search(make_spec(max_trials=3)).search.trials) == 3


def test_the_budget_ends_it_once_there_is_a_model(make_spec: MakeSpec) -> None:
    found = search(make_spec(max_trials=0, search_seconds=1e-3, max_epochs=30))
    assert found.search.ended_because == "budget"
    assert not found.search.repeats
    assert len(found.search.trials) == 1


def test_nothing_to_gain_ends_it(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_TRIALS", 2)
    monkeypatch.setattr(module, "LEAST_GAIN", 1e9)
    found = search(make_spec(max_trials=0, search_seconds=600))
    assert found.search.ended_because == "no_gain"
    assert len(found.search.trials) == 3


def test_limits(make_spec: MakeSpec, two_inputs: tuple[Any, Any]) -> None:
    spec = make_spec(inputs=two_inputs, max_latency_ms=20)
    assert choose_inputs(spec) == two_inputs[:1]
    with pytest.raises(UserError, match=r"max_latency_ms 5 .*lite0 takes 12\.0 ms and 13\.5 MB"):
        choose_inputs(make_spec(inputs=two_inputs, max_latency_ms=5))
    # The backbone alone fits, with any head it does not.
    with pytest.raises(UserError, match=r"None of 4 trials is within max_model_mb 13\.5:"):
        search(make_spec(max_model_mb=13.5))


def test_a_search_without_an_end_is_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match="the search would not end"):
        make_spec(max_trials=0)
