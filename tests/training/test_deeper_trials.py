"""The search below a head, on tiny pictures: it goes on after a kill, and leaves little behind."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import MakeSpec
from tests.training.fitting import ALONE, material_of, set_up
from training import batches, checkpoint, deepen, deeper_trials, depths, loop
from training.checkpoint import Checkpoint, Epoch, Progress
from training.clock import Clock, Used
from training.depths import NETWORK, Setting
from training.head_weights import hash_weights
from training.precision import Stepper
from training.ranks import Ranks
from training.search import folds
from training.spec import TrainSpec
from training.tasks.protocol import load_task
from training.trainer import Trainer
from training.winner import Winner


class KilledError(Exception):
    """As if the process had ended here."""


@pytest.fixture
def two_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise holds nothing to find: whatever the time, two trials of an epoch."""
    for name, value in {"LEAST_MISTAKES": -1, "MOST_EPOCHS": 1, "LEAST_EPOCHS": 1}.items():
        monkeypatch.setattr(deepen, name, value)
    monkeypatch.setitem(depths.WAYS, "network", replace(NETWORK, most_trials=2))
    monkeypatch.setattr(Clock, "has_room", lambda clock, _: clock.limited)


@pytest.fixture
def each_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial that ends is the best so far; that one is the model, for a val side judges."""
    monkeypatch.setattr(folds, "LEAST_VAL", 1)
    monkeypatch.setattr(deeper_trials, "is_better", lambda _, now: now is not None)


def find_deepest(spec: TrainSpec) -> Winner:
    return deepen.find_deepest(spec, ALONE, material_of(spec), load_task(spec.task)[1])


def read_networks(scratch: Path) -> list[Checkpoint]:
    left = [checkpoint.from_bytes(path.read_bytes()) for path in scratch.glob("*.npz")]
    return [one for one in left if any(name.startswith("extractor.") for name in one.network)]


def test_a_killed_search_goes_on(
    whole_spec: MakeSpec, two_trials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> Winner:
        spec = whole_spec(scratch_uri=(tmp_path / name).as_uri(), search_seconds=600)
        return find_deepest(spec)

    whole = find("whole")
    # Of all trials the best one alone, and the final training.
    assert len(read_networks(tmp_path / "whole")) == 2
    trials = [t for t in whole.found.search.trials if t.recipe.depth == "network"]
    assert len({trial.recipe.learning_rate for trial in trials}) == 2
    assert {name: getattr(trials[0].recipe, name) for name in NETWORK.first} == NETWORK.first
    assert trials[-1].recipe.mixup > 0
    asked = []

    def kill(clock: Clock, progress: Progress, trained: int) -> bool:
        asked.append(trained)
        # In the second trial.
        if len(asked) == 2:
            raise KilledError
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Clock, "is_over", kill)
        with pytest.raises(KilledError):
            find("killed")
    resumed = find("killed")
    recipes = [trial.recipe for trial in whole.found.search.trials]
    assert [trial.recipe for trial in resumed.found.search.trials] == recipes
    assert [t.loss for t in resumed.found.search.trials] == [
        t.loss for t in whole.found.search.trials
    ]
    assert hash_weights(resumed.trained.head) == hash_weights(whole.trained.head)


def test_a_lost_checkpoint_is_trained_again_whatever_the_clock_says(
    whole_spec: MakeSpec,
    two_trials: None,
    each_is_better: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deepen, "MOST_EPOCHS", 2)
    spec = whole_spec(search_seconds=600)
    whole = find_deepest(spec)
    assert whole.resolved.epochs == len(whole.trained.progress.epochs) == 2
    (path,) = (tmp_path / "scratch").glob("clock-*")
    path.write_text(path.read_text().replace('"over":false', '"over":true'))
    for file in (tmp_path / "scratch").glob("*.npz"):
        file.write_bytes(b"damaged")
    again = find_deepest(spec)
    assert again.resolved.epochs == len(again.trained.progress.epochs) == 2
    assert hash_weights(again.trained.head) == hash_weights(whole.trained.head)


@pytest.mark.parametrize("diverges", [False, True])
@pytest.mark.usefixtures("two_trials", "each_is_better")
def test_the_best_trial_alone_is_left(
    whole_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diverges: bool
) -> None:
    monkeypatch.setattr(loop, "STEP_INTERVAL_S", 0.0)
    spec = whole_spec(search_seconds=600)
    run_epoch, attempts = Trainer.run_epoch, []

    def run(trainer: Trainer, *given: Any) -> Epoch:
        epoch = run_epoch(trainer, *given)
        if not trainer.fit.recipe.mixup:
            return epoch
        # The second trial.
        attempts.append(trainer)
        if len(attempts) == 1:
            raise KilledError
        return epoch.model_copy(update={"train_loss": math.nan}) if diverges else epoch

    monkeypatch.setattr(Trainer, "run_epoch", run)
    with pytest.raises(KilledError):
        find_deepest(spec)
    assert len(read_networks(tmp_path / "scratch")) == 2
    winner = find_deepest(spec)
    states = [trial.state for trial in winner.found.search.trials]
    assert states == ["finished", "finished", "failed" if diverges else "finished"]
    (left,) = read_networks(tmp_path / "scratch")
    for name, array in left.best.items():
        assert array.tobytes() == winner.trained.head.state_dict()[name].numpy().tobytes(), name


def test_the_time_of_a_part_of_an_epoch_is_kept(
    whole_spec: MakeSpec, two_trials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STEP_INTERVAL_S", 0.0)
    save, seconds = Clock.save, []

    def kill(clock: Clock) -> None:
        save(clock)
        (path,) = (tmp_path / "scratch").glob("clock-*")
        seconds.append(Used.model_validate_json(path.read_bytes()).seconds)
        # First the plan's.
        if len(seconds) == 2:
            raise KilledError

    monkeypatch.setattr(Clock, "save", kill)
    with pytest.raises(KilledError):
        find_deepest(whole_spec(search_seconds=600))
    (left,) = read_networks(tmp_path / "scratch")
    assert left.progress.step == 1
    assert seconds[1] > seconds[0]


def test_other_ranks_begin_anew(whole_spec: MakeSpec) -> None:
    setting = set_up(whole_spec(search_seconds=600), ALONE)
    deepen.make_clock(setting, "network", 100.0).plan(10.0, most=9)

    def plan(setting: Setting) -> int:
        """A retry's, which keeps what the first attempt has planned."""
        return deepen.make_clock(setting, "network", 100.0).plan(1e9, most=9)

    elsewhere = setting.spec.model_copy(update={"output_uri": "file:///elsewhere"})
    assert plan(replace(setting, spec=elsewhere)) > 0
    assert plan(replace(setting, ranks=Ranks(0, 1, "gpu"))) == 0
    assert plan(replace(setting, ranks=Ranks(0, 2, "cpu"))) == 0


def test_epochs_are_timed_in_the_steps_that_will_be_trained(
    whole_spec: MakeSpec, two_trials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, sizes = Trainer.run_epoch, []

    def run_epoch(trainer: Trainer, *given: Any) -> Epoch:
        if trainer.rows.inputs.costly:
            sizes.append(trainer.batch_size)
        return train(trainer, *given)

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    # As on a card, which computes in half precision, too.
    monkeypatch.setattr("training.trainer.Stepper", lambda of, **_: Stepper(of, halves=False))
    monkeypatch.setattr(batches, "STEPS_PER_EPOCH", 1)
    spec, card = whole_spec(search_seconds=600), replace(ALONE, device="gpu")
    deepen.find_deepest(spec, card, material_of(spec), load_task(spec.task)[1])
    # Those that were timed, and those of the trials.
    assert set(sizes) == {batches.PER_CARD}


def test_without_a_clock_one_trial_of_each_depth(
    whole_spec: MakeSpec, two_trials: None, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = whole_spec()
    winner = find_deepest(spec)
    assert [t.recipe.depth for t in winner.found.search.trials] == ["head", "network"]
    assert "Last blocks are trained of EfficientNet-Lite only" in capsys.readouterr().out
