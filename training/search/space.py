"""What the search may choose: structure and hyper-parameters together."""

from collections.abc import Sequence
from typing import cast, get_args

from optuna.trial import BaseTrial

from serving.job.search import HeadKind, Recipe

LEARNING_RATES = (3e-4, 3e-2)
WEIGHT_DECAYS = (1e-4, 1.0)
MOST_SMOOTHING = 0.2
HIDDEN = (32, 64, 128)
MOST_DROPOUT = 0.6


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


def first_recipes(inputs: Sequence[str]) -> list[dict[str, str | float]]:
    """The hand-set linear head on every input: what a search has to beat."""
    known = Recipe(input="").model_dump(
        include={"head", "learning_rate", "weight_decay", "smoothing"}
    )
    return [{"input": name} | known for name in inputs]
