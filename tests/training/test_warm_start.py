"""Going on from a head that is there: on more classes, without losing the old ones."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from sklearn.datasets import load_digits

from serving.job.search import Recipe
from tests.training.fitting import ALONE, material_of
from tests.training.tables import write_table
from training.checkpoint import find_scratch
from training.head_weights import HEAD_FILE, copy_weights, read_start, set_weights, write_head
from training.search.study import find_study_file
from training.spec import TrainSpec, WarmStart
from training.tasks.protocol import Scaling, load_task
from training.winner import Winner, find_start, find_winner

MakeSpec = Callable[..., TrainSpec]
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
TASK = load_task("classification")[1]
RECIPES = (
    Recipe(input=""),
    Recipe(input="", head="cosine"),
    Recipe(input="", head="mlp", hidden=8, dropout=0.1),
)


def warm_of(uri: str, **changes: Any) -> WarmStart:
    fields: dict[str, Any] = {
        "run_id": "20260101t000000-abcdef",
        "head_uri": uri,
        "recipe": RECIPES[0],
        "classes": ("a", "b", "c"),
        "backbone_sha256": "0" * 64,
        "joined": True,
    }
    return WarmStart.model_validate(fields | changes)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.head)
def test_known_classes_score_as_before(tmp_path: Path, recipe: Recipe) -> None:
    chance = np.random.default_rng(0)
    scaling = Scaling(chance.normal(size=6), 1.7)
    old = TASK.make_head(recipe, scaling, 3, 0, 1)
    for parameter in old.parameters():
        parameter.set_value(chance.normal(size=parameter.shape).astype(np.float32))
    uri = (tmp_path / HEAD_FILE).as_uri()
    write_head(uri, old, scaling)
    start = read_start(warm_of(uri))
    assert start.scaling.deviation == scaling.deviation
    new = TASK.make_head(recipe, start.scaling, 4, 0, 2)
    fresh = copy_weights(new)
    # b is gone, and there are two new ones.
    placed = TASK.place_classes(new, start.weights, start.classes, ("a", "new", "c", "other"))
    set_weights(new, placed)
    old.eval()
    new.eval()
    features = chance.normal(size=(5, 6)).astype(np.float32)
    was = old(paddle.to_tensor(features)).numpy()
    now = new(paddle.to_tensor(features)).numpy()
    np.testing.assert_allclose(now[:, [0, 2]], was[:, [0, 2]], rtol=1e-5, atol=1e-5)
    last = "output_weight" if recipe.hidden else "weight"
    np.testing.assert_array_equal(placed[last][..., [1, 3]], fresh[last][..., [1, 3]])


def test_only_a_head_of_the_same_kind_is_gone_on_from(make_spec: MakeSpec) -> None:
    spec = make_spec()
    material = material_of(spec)
    recipe = Recipe(input=spec.inputs[0].name)

    def find(recipe: Recipe = recipe, **changes: Any) -> WarmStart | None:
        warm = warm_of("file:///h", **{"recipe": Recipe(input=recipe.input)} | changes)
        return find_start(spec.model_copy(update={"warm_from": warm}), material, recipe)

    assert find() is not None
    assert find(recipe.model_copy(update={"learning_rate": 0.01})) is not None
    assert find(recipe.model_copy(update={"head": "cosine"})) is None
    assert find(backbone_sha256="1" * 64) is None
    assert find(joined=False) is None
    assert find_start(spec, material, recipe) is None


def train(spec: TrainSpec) -> Winner:
    path = find_study_file(find_scratch(spec.scratch_uri))
    assert not path.exists()
    return find_winner(spec, ALONE, material_of(spec), TASK)


def accuracy(winner: Winner, features: Any, targets: Any) -> float:
    winner.trained.head.eval()
    scores = winner.trained.head(paddle.to_tensor(features)).numpy()
    return float((scores.argmax(axis=1) == targets).mean())


def test_two_digits_more_do_not_forget_the_others(make_spec: MakeSpec, tmp_path: Path) -> None:
    images, digits = load_digits(return_X_y=True)
    features = images.astype(np.float32)
    chosen = np.random.default_rng(0).permutation(len(digits))
    train_rows, test = chosen[:600], chosen[600:]

    def spec_of(name: str, classes: int, **changes: Any) -> TrainSpec:
        rows = train_rows[digits[train_rows] < classes]
        given = write_table(tmp_path / name, features[rows], digits[rows], val=0.2)
        return make_spec(
            **given,
            classes=tuple(map(str, range(classes))),
            scratch_uri=(tmp_path / name / "scratch").as_uri(),
            **{"max_trials": 12, "max_epochs": 40} | changes,
        )

    begun = time.process_time()
    first = train(spec_of("eight", 8))
    cold = time.process_time() - begun
    uri = (tmp_path / HEAD_FILE).as_uri()
    write_head(uri, first.trained.head, first.trained.scaling)
    recipe = first.found.search.chosen.recipe
    warm = warm_of(uri, recipe=recipe, classes=tuple(map(str, range(8))))
    begun = time.process_time()
    second = train(spec_of("ten", 10, warm_start=True, warm_from=warm))
    assert time.process_time() - begun < 0.8 * cold
    assert second.found.search.trials[0].recipe == recipe
    assert len(second.found.search.trials) < len(first.found.search.trials)
    old = test[digits[test] < 8]
    new = test[digits[test] >= 8]
    before = accuracy(first, features[old], digits[old])
    after = accuracy(second, features[old], digits[old])
    assert before > 0.9
    assert after >= before - 0.01
    assert accuracy(second, features[new], digits[new]) > 0.8
