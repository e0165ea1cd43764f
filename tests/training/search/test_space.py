"""The recipes that a search begins with."""

import pytest

from serving.job.search import Recipe
from training.batches import SMALLEST
from training.search.space import (
    FIRST_LEARNING_RATE,
    LEARNING_RATES,
    WEIGHT_DECAYS,
    first_recipes,
    name_choices,
)

INPUTS = ("large crop", "small crop")


def test_hand_set_head_on_every_input_learns_faster_in_larger_batches() -> None:
    small = first_recipes(INPUTS, None)
    large = first_recipes(INPUTS, None, 16 * SMALLEST)
    assert [one.input for one in small] == [one.input for one in large] == list(INPUTS)
    assert {one.learning_rate for one in small} == {FIRST_LEARNING_RATE}
    fast = [one.learning_rate for one in large]
    assert fast == pytest.approx([4 * FIRST_LEARNING_RATE] * len(INPUTS))


def test_what_did_well_before_comes_first_within_what_may_be_drawn() -> None:
    warm = Recipe(input=INPUTS[1], head="mlp", hidden=32, dropout=0.1, learning_rate=0.03)
    first = first_recipes(INPUTS, warm.model_copy(update={"weight_decay": 0.0}))
    assert first[0] == warm.model_copy(
        update={"learning_rate": LEARNING_RATES[1], "weight_decay": WEIGHT_DECAYS[0]}
    )
    assert [one.input for one in first[-2:]] == list(INPUTS)
    for recipe in first:
        assert LEARNING_RATES[0] <= recipe.learning_rate <= LEARNING_RATES[1]
        assert WEIGHT_DECAYS[0] <= recipe.weight_decay <= WEIGHT_DECAYS[1]
        # What is asked of the study is the same recipe again.
        assert Recipe.model_validate(name_choices(recipe)) == recipe


def test_what_did_well_on_an_input_that_is_gone_is_left_out() -> None:
    assert first_recipes(INPUTS, Recipe(input="gone")) == first_recipes(INPUTS, None)
