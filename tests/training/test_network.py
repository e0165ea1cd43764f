"""The whole network trained on pictures, after the search, on tiny data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from serving.bundle.predictor import Predictor
from serving.job.inputs import InputFeatures
from serving.job.search import Recipe, Search
from tests.training.conftest import CLASSES, MakeSpec
from tests.training.fitting import (
    ALONE,
    deepen_on_ranks,
    fit_alone,
    fit_deep_too,
    fit_of,
    rows_of,
    set_up,
)
from tests.training.tiny_network import SIDE, forget
from training.batches import make_batches
from training.depths import NETWORK, fit_deep, train_deep
from training.ranks import Ranks
from training.spec import TrainOutcome


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


@pytest.mark.parametrize(("ranks", "task"), [(1, "multilabel"), (2, "classification")])
def test_job_exports_the_network_and_replays(
    whole_spec: MakeSpec, several_tiny: dict[str, Any], tmp_path: Path, ranks: int, task: str
) -> None:
    spec = whole_spec(**(several_tiny if task == "multilabel" else {}))
    printed, folder = deepen_on_ranks(spec, ranks, tmp_path)
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
