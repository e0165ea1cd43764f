"""Which trial wins; the trials are Optuna's own, with the losses that a fit would have left."""

import numpy as np
import numpy.typing as npt
import optuna
import pytest

from serving.job.search import Recipe, Trial
from training.search.choice import LEAST_ERRORS, choose, is_worse
from training.search.trial import Fitted, keep
from training.tasks.judging import MOST_PARTS, judge
from training.tasks.protocol import Measured

FIRST = [Recipe(input="large crop"), Recipe(input="small crop")]
DRAWN = Recipe(input="small crop", head="cosine")
SAMPLES = 50
NOISE = np.random.default_rng(0).normal(0, 0.01, SAMPLES)


def measure(losses: npt.NDArray[np.float64]) -> Measured:
    return Measured(float(losses.mean()), 0.1, 0.9, 1.0, tuple(losses.tolist()))


def make_study(
    *tried: tuple[Recipe, npt.NDArray[np.float64] | None, bool],
) -> list[optuna.trial.FrozenTrial]:
    """Each with a recipe, its losses (None: it was pruned), and whether its size is allowed."""
    study = optuna.create_study()
    for number, (recipe, losses, allowed) in enumerate(tried):
        shown = Trial(
            number=number,
            recipe=recipe,
            state="pruned" if losses is None else "finished",
            loss=None if losses is None else float(losses.mean()),
            accuracy=0.9,
            best_epoch=1,
            latency_ms=1,
            model_mb=1,
            seconds=1,
            allowed=allowed,
        )
        fitted = None if losses is None else Fitted(measure(losses), 1, (0.5,), (0.9,))
        keep(study, study.ask(), shown, fitted)
    return study.get_trials()


def test_first_recipe_wins_where_chance_explains_the_difference() -> None:
    # Better by 0.001 on average, of which the standard error is larger.
    tried = ((FIRST[0], 0.5 + NOISE, True), (DRAWN, np.full(SAMPLES, 0.499), True))
    chosen = choose(make_study(*tried), FIRST)
    assert chosen is not None
    assert chosen.number == 0


def test_certain_gain_wins() -> None:
    tried = (
        (FIRST[0], 0.6 + NOISE, True),
        (FIRST[1], 0.5 + NOISE, True),
        (DRAWN, 0.5 + 2 * NOISE, True),
    )
    chosen = choose(make_study(*tried), FIRST)
    assert chosen is not None
    # Worse for certain than both others, of which the hand-set one is as good as the best.
    assert chosen.number == 1


def test_pruned_and_too_large_ones_never_win() -> None:
    tried = ((FIRST[0], None, True), (FIRST[1], 0.4 + NOISE, False), (DRAWN, 0.9 + NOISE, True))
    chosen = choose(make_study(*tried), FIRST)
    assert chosen is not None
    assert chosen.number == 2
    assert choose(make_study(*tried[:2]), FIRST) is None


CASES = [(-1.1, False), (0, False), (0.9, False), (1.1, True)]


@pytest.mark.parametrize(("errors", "worse"), CASES)
def test_worse_is_worse_by_more_than_two_standard_errors(errors: float, worse: bool) -> None:
    more = errors * LEAST_ERRORS * NOISE.std() / SAMPLES**0.5
    one = measure(0.5 + NOISE - NOISE.mean() + more)
    assert is_worse(one, measure(np.full(SAMPLES, 0.5))) == worse


def test_nothing_is_worse_than_itself() -> None:
    assert not is_worse(measure(NOISE), measure(NOISE))


@pytest.mark.parametrize("count", [7, MOST_PARTS, 3 * MOST_PARTS + 5])
def test_parts_have_the_mean_of_all_losses(count: int) -> None:
    losses = np.random.default_rng(1).exponential(size=count)
    found = judge(np.ones(count, bool), lambda rows, _: losses[rows])
    assert len(found.parts) == min(count, MOST_PARTS)
    assert np.mean(found.parts) == pytest.approx(found.loss, rel=0.05)
