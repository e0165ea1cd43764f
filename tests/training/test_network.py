"""The whole network trained on pictures, after the search, on tiny data."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from serving.bundle.predictor import Predictor
from serving.job.inputs import InputFeatures
from serving.job.search import Recipe, Search
from tests.training.conftest import CLASSES, REPO, start_ranks
from tests.training.fitting import (
    ALONE,
    fit_alone,
    fit_deep_too,
    fit_of,
    material_of,
    rows_of,
    set_up,
)
from tests.training.tiny_network import SIDE, forget
from training import checkpoint, deepen, deeper_trials, depths
from training.batches import make_batches
from training.checkpoint import Progress
from training.clock import Clock
from training.depths import NETWORK, Setting, fit_deep, train_deep
from training.head_weights import hash_weights
from training.ranks import Ranks
from training.search import folds
from training.spec import TrainOutcome, TrainSpec
from training.tasks.protocol import load_task
from training.winner import Winner

MakeSpec = Callable[..., TrainSpec]


@pytest.fixture
def whole_spec(make_spec: MakeSpec, tiny: InputFeatures) -> MakeSpec:
    def make(**changes: Any) -> TrainSpec:
        fields: dict[str, Any] = {"inputs": (tiny,), "deepest": "network", "max_trials": 1}
        return make_spec(**(fields | changes))

    return make


@pytest.fixture
def several_tiny(several_labels: dict[str, Any], tiny: InputFeatures) -> dict[str, Any]:
    """The same pictures, each of several labels."""
    return several_labels | {"inputs": (tiny,)}


def copy_norms(network: paddle.nn.Layer) -> list[np.ndarray[Any, Any]]:
    return [v.numpy() for name, v in network.state_dict().items() if name.endswith("_mean")]


def test_a_network_that_knows_nothing_learns(whole_spec: MakeSpec, tiny: InputFeatures) -> None:
    spec = whole_spec(inputs=(forget(tiny),))
    head = fit_alone(spec)
    before = copy_norms(NETWORK.build(set_up(spec, ALONE), head.head))
    deep = fit_deep_too(spec, ALONE, head, 5, augmentation=0.0)
    losses = [epoch.train_loss for epoch in deep.progress.epochs]
    assert losses[-1] < 0.7 * losses[0]
    # Its norms have learned what its pictures are like.
    after = copy_norms(deep.head)
    assert all((one != two).any() for one, two in zip(before, after, strict=True))
    # The head knew features that meant nothing.
    assert deep.scaling.deviation == 1


def test_a_pretrained_network_keeps_its_statistics_and_its_best_weights(
    whole_spec: MakeSpec,
) -> None:
    spec = whole_spec()
    setting, head = set_up(spec, ALONE), fit_alone(spec)
    rows = replace(rows_of(spec), inputs=NETWORK.open_inputs(setting))
    recipe = NETWORK.choose_first(fit_of(spec).recipe, setting.given)
    fit = replace(fit_deep(spec, recipe, 20), patience=2, horizon=0)
    deep = train_deep(setting, NETWORK, fit, rows, head=head)
    losses = [epoch.val_loss or 9.0 for epoch in deep.progress.epochs]
    # Noise holds nothing that pictures of the val side would share.
    assert len(losses) == deep.progress.best_epoch + 2 < 20
    assert deep.measured
    assert deep.measured.loss == losses[deep.progress.best_epoch - 1] == min(losses)
    before = copy_norms(NETWORK.build(setting, head.head))
    for one, two in zip(before, copy_norms(deep.head), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_shares_of_a_batch_are_changed_as_the_whole(whole_spec: MakeSpec, mixup: float) -> None:
    pictures = NETWORK.open_inputs(set_up(whole_spec(), ALONE))
    recipe = Recipe(input="", augmentation=0.5, mixup=mixup)

    def draw(ranks: Ranks) -> list[Any]:
        (batch,) = make_batches(10, 10, np.arange(10), ranks)
        return [batch, pictures.draw(batch, recipe, (3, 0, 1))]

    batch, whole = draw(ALONE)
    shares = [draw(Ranks(rank, 2, "cpu"))[1] for rank in (0, 1)]
    together = np.concatenate([one.inputs.numpy() for one in shares])
    assert together.shape == (10, 3, SIDE, SIDE)
    np.testing.assert_allclose(together, whole.inputs.numpy(), atol=1e-5)
    plain = pictures.pick(batch.rows).numpy()
    assert np.abs(plain - together).max() > 0.1
    if mixup:
        others = np.concatenate([one.others for one in shares])
        assert others.tolist() == whole.others.tolist() != batch.rows.tolist()
        assert 0 <= whole.share.min() < whole.share.max() <= 1
    else:
        assert whole.others is None


class KilledError(Exception):
    """As if the process had ended here."""


@pytest.fixture
def two_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise holds nothing to find: whatever the time, two trials of an epoch."""
    for name, value in {"LEAST_MISTAKES": -1, "MOST_EPOCHS": 1, "LEAST_EPOCHS": 1}.items():
        monkeypatch.setattr(deepen, name, value)
    monkeypatch.setitem(depths.WAYS, "network", replace(NETWORK, most_trials=2))
    monkeypatch.setattr(Clock, "has_room", lambda clock, _: clock.limited)


def test_a_killed_search_goes_on(
    whole_spec: MakeSpec, two_trials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> Winner:
        spec = whole_spec(scratch_uri=(tmp_path / name).as_uri(), search_seconds=600)
        return deepen.find_deepest(spec, ALONE, material_of(spec), load_task(spec.task)[1])

    whole = find("whole")
    left = [checkpoint.from_bytes(p.read_bytes()) for p in (tmp_path / "whole").glob("*.npz")]
    networks = [one for one in left if any(name.startswith("extractor.") for name in one.network)]
    # Of all trials the best one alone, and the final training.
    assert len(networks) == 2
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
    whole_spec: MakeSpec, two_trials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepen, "MOST_EPOCHS", 2)
    # As many samples as may judge by themselves: the best trial is the model.
    monkeypatch.setattr(folds, "LEAST_VAL", 1)
    monkeypatch.setattr(deeper_trials, "is_better", lambda _, now: now is not None)
    spec = whole_spec(search_seconds=600)

    def find() -> Winner:
        return deepen.find_deepest(spec, ALONE, material_of(spec), load_task(spec.task)[1])

    whole = find()
    assert whole.resolved.epochs == len(whole.trained.progress.epochs) == 2
    (path,) = (tmp_path / "scratch").glob("clock-*")
    path.write_text(path.read_text().replace('"over":false', '"over":true'))
    for file in (tmp_path / "scratch").glob("*.npz"):
        file.write_bytes(b"damaged")
    again = find()
    assert again.resolved.epochs == len(again.trained.progress.epochs) == 2
    assert hash_weights(again.trained.head) == hash_weights(whole.trained.head)


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


def test_without_a_clock_one_trial_of_each_depth(
    whole_spec: MakeSpec, two_trials: None, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = whole_spec()
    winner = deepen.find_deepest(spec, ALONE, material_of(spec), load_task(spec.task)[1])
    assert [t.recipe.depth for t in winner.found.search.trials] == ["head", "network"]
    assert "Last blocks are trained of EfficientNet-Lite only" in capsys.readouterr().out


@pytest.mark.parametrize(("ranks", "task"), [(1, "multilabel"), (2, "classification")])
def test_job_exports_the_network_and_replays(
    whole_spec: MakeSpec, several_tiny: dict[str, Any], tmp_path: Path, ranks: int, task: str
) -> None:
    spec = whole_spec(**(several_tiny if task == "multilabel" else {}))
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    script = REPO / "tests" / "training" / "deepen_always.py"
    process = start_ranks(script, spec, ranks, tmp_path / "work", MODELMILL_MLFLOW_URI=tracking)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    folder = Path(spec.output_uri.removeprefix("file://"))
    outcome = TrainOutcome.model_validate_json((folder / "outcome.json").read_bytes())
    assert outcome.recipe.depth == "network"
    # The trained network, and what its bundle answers.
    assert outcome.agreement <= 1e-4
    search = Search.model_validate_json((folder / "search.json").read_bytes())
    assert [trial.recipe.depth for trial in search.trials] == ["head", "network"]
    pixels = np.random.default_rng(7).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    assert Predictor(folder / "bundle").score(list(pixels)).shape == (3, len(CLASSES))
    assert not list((tmp_path / "scratch").iterdir())
    assert "same True" in printed
