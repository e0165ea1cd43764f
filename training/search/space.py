"""What the search may choose: structure and hyper-parameters together."""

from collections.abc import Sequence
from typing import Any, cast, get_args

from optuna.trial import BaseTrial

from serving.job.search import HeadKind, Recipe

LEARNING_RATES = (3e-4, 3e-2)
WEIGHT_DECAYS = (1e-4, 1.0)
MOST_SMOOTHING = 0.2
HIDDEN = (32, 64, 128)
MOST_DROPOUT = 0.6
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


def first_recipes(inputs: Sequence[str], warm: Recipe | None) -> list[dict[str, Any]]:
    """The hand-set linear head on every input: what a search has to beat.

    With a recipe that did well before: that one and some near it come first.
    """
    near = _list_near(warm) if warm is not None and warm.input in inputs else []
    return [_name_choices(one) for one in (*near, *(Recipe(input=name) for name in inputs))]


def _list_near(recipe: Recipe) -> list[Recipe]:
    def change(**factors: float) -> Recipe:
        limits = {"learning_rate": LEARNING_RATES, "weight_decay": WEIGHT_DECAYS}
        values = {
            name: min(max(getattr(recipe, name) * factor, limits[name][0]), limits[name][1])
            for name, factor in factors.items()
        }
        return recipe.model_copy(update=values)

    return [
        recipe,
        change(learning_rate=NEAR),
        change(learning_rate=1 / NEAR),
        change(weight_decay=NEAR),
    ]


def _name_choices(recipe: Recipe) -> dict[str, Any]:
    """As `suggest` draws them."""
    own = {"input", "head", "learning_rate", "weight_decay", "smoothing"}
    return recipe.model_dump(include=own | ({"hidden", "dropout"} if recipe.hidden else set()))
