"""What the search may choose: structure and hyper-parameters together."""

import math
from collections.abc import Sequence
from typing import Any, cast, get_args

from optuna.trial import BaseTrial

from serving.job.search import HeadKind, Recipe
from training.batches import SMALLEST

LEARNING_RATES = (1e-4, 1e-2)
WEIGHT_DECAYS = (1e-4, 1.0)
# Of the smallest batch. All of a thousand features push a sample's output one way: at four times
# this rate the first steps overshoot, and a head that is stopped on its way back was a point or two
# worse on 5 to 50 photos a class.
FIRST_LEARNING_RATE = 5e-4
MOST_SMOOTHING = 0.2
HIDDEN = (32, 64, 128)
MOST_DROPOUT = 0.6
# Of each name the least and the most.
Space = dict[str, tuple[float, float]]
LAST_BLOCKS_SPACE: Space = {"learning_rate": (1e-4, 3e-3)}
NETWORK_SPACE: Space = {
    "learning_rate": (1e-4, 3e-3),
    "augmentation": (0.0, 1.0),
    "mixup": (0.0, 0.4),
}
# Of the recipes near one that did well: larger, or smaller, by this factor.
NEAR = 2.0


def suggest(trial: BaseTrial, inputs: Sequence[str]) -> Recipe:
    """Draw a recipe; what the head does not have is not drawn."""
    head = cast(HeadKind, trial.suggest_categorical("head", get_args(HeadKind)))
    hidden = int(trial.suggest_categorical("hidden", HIDDEN)) if head == "mlp" else 0
    return Recipe(
        input=str(trial.suggest_categorical("input", inputs)),
        head=head,
        learning_rate=trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
        weight_decay=trial.suggest_float("weight_decay", *WEIGHT_DECAYS, log=True),
        smoothing=trial.suggest_float("smoothing", 0.0, MOST_SMOOTHING),
        hidden=hidden,
        dropout=trial.suggest_float("dropout", 0.0, MOST_DROPOUT) if head == "mlp" else 0.0,
    )


def first_recipes(
    inputs: Sequence[str], warm: Recipe | None, batch_size: int = SMALLEST
) -> list[Recipe]:
    """The hand-set linear head on every input: what a search has to beat.

    With a recipe that did well before: that one and some near it come first. The learning rate
    grows with the root of the batch size (Malladi et al. 2022, section 5).
    """
    rate = FIRST_LEARNING_RATE * math.sqrt(batch_size / SMALLEST)
    near = _list_near(warm) if warm is not None and warm.input in inputs else []
    hand_set = [Recipe(input=name, learning_rate=rate) for name in inputs]
    return [*near, *hand_set]


def _list_near(recipe: Recipe) -> list[Recipe]:
    def change(*, rate: float = 1.0, decay: float = 1.0) -> Recipe:
        values = {
            "learning_rate": _clip(recipe.learning_rate * rate, LEARNING_RATES),
            "weight_decay": _clip(recipe.weight_decay * decay, WEIGHT_DECAYS),
        }
        return recipe.model_copy(update=values)

    return [change(), change(rate=NEAR), change(rate=1 / NEAR), change(decay=NEAR)]


def _clip(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def name_choices(recipe: Recipe) -> dict[str, Any]:
    """As `suggest` draws them."""
    own = {"input", "head", "learning_rate", "weight_decay", "smoothing"}
    return recipe.model_dump(include=own | ({"hidden", "dropout"} if recipe.hidden else set()))


def suggest_deeper(trial: BaseTrial, space: Space) -> dict[str, float]:
    """Draw what is searched below a head."""
    return {
        name: trial.suggest_float(name, *bounds, log=name == "learning_rate")
        for name, bounds in space.items()
    }
