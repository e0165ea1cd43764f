"""The statistics: against exact arithmetic, a brute search and what must hold for any counts."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.job.paired_test import (
    LEVEL,
    chance_of_loss,
    find_smallest_loss,
    find_worst_difference,
    restrict_share,
    score_difference,
)

Z = 1.6448536269514722
few = st.integers(0, 60)
counts = st.tuples(few, few, st.integers(0, 500)).map(lambda t: (t[0] + t[1] + t[2], *t[:2]))
some = counts.filter(lambda t: t[0] > 0)
inner = st.floats(-0.99, 0.99)


def log_likelihood(samples: int, gained: int, lost: int, difference: float, share: float) -> float:
    """Of champion_only's share, the other shares following from the difference."""
    rest = samples - gained - lost
    terms = ((gained, share + difference), (lost, share), (rest, 1 - 2 * share - difference))
    if any(p < -1e-12 for _, p in terms):
        return -math.inf
    return sum((k * math.log(p) if p > 1e-300 else -math.inf) for k, p in terms if k)


@given(few, few)
def test_chance_is_that_of_fair_coins(gained: int, lost: int) -> None:
    m = gained + lost
    exact = Fraction(sum(math.comb(m, k) for k in range(lost, m + 1)), 2**m)
    assert chance_of_loss(gained, lost) == pytest.approx(float(exact), rel=1e-9)


@given(few, few)
def test_more_losses_are_less_likely_chance(gained: int, lost: int) -> None:
    assert chance_of_loss(gained, lost + 1) < chance_of_loss(gained, lost) + 1e-12
    assert chance_of_loss(gained + 1, lost) > chance_of_loss(gained, lost) - 1e-12


@given(some)
def test_smallest_loss_is_where_the_test_turns(drawn: tuple[int, int, int]) -> None:
    samples, gained, lost = drawn
    m = max(gained + lost, 5)
    least = (round(find_smallest_loss(samples, gained + lost) * samples) + m) // 2
    assert chance_of_loss(m - least, least) <= 1 - LEVEL
    assert chance_of_loss(m - least + 1, least - 1) > 1 - LEVEL


@given(some)
def test_a_loss_is_clear_exactly_from_the_smallest_on(drawn: tuple[int, int, int]) -> None:
    samples, gained, lost = drawn
    clear = chance_of_loss(gained, lost) <= 1 - LEVEL
    reached = (lost - gained) / samples >= find_smallest_loss(samples, gained + lost) - 1e-12
    assert clear == reached


@given(some, inner)
def test_share_is_the_likeliest(drawn: tuple[int, int, int], difference: float) -> None:
    share = restrict_share(*drawn, difference)
    low, high = max(0.0, -difference), (1 - difference) / 2
    assert low - 1e-9 <= share <= high + 1e-9
    best = log_likelihood(*drawn, difference, min(max(share, low), high))
    for step in range(51):
        other = low + (high - low) * step / 50
        assert log_likelihood(*drawn, difference, other) <= best + 1e-6 * max(1, abs(best))


@given(some)
def test_worst_difference_is_where_the_score_reaches_the_level(
    drawn: tuple[int, int, int],
) -> None:
    worst = find_worst_difference(*drawn)
    assert -1 <= worst <= (drawn[1] - drawn[2]) / drawn[0]
    if worst > -1 + 1e-6:
        assert score_difference(*drawn, worst - 1e-7) > Z
        assert score_difference(*drawn, worst + 1e-7) < Z


@given(some)
def test_more_gains_and_more_samples_raise_the_worst(drawn: tuple[int, int, int]) -> None:
    samples, gained, lost = drawn
    if gained + lost < samples:
        assert find_worst_difference(samples, gained + 1, lost) > find_worst_difference(*drawn)
    tenfold = find_worst_difference(10 * samples, 10 * gained, 10 * lost)
    assert tenfold >= find_worst_difference(*drawn) - 1e-9


@pytest.mark.parametrize("samples", [1, 5, 153, 10_000])
def test_models_that_never_differ_have_a_worst_difference_in_closed_form(samples: int) -> None:
    assert find_worst_difference(samples, 0, 0) == pytest.approx(-Z * Z / (samples + Z * Z))


def test_without_samples_anything_may_be() -> None:
    assert find_worst_difference(0, 0, 0) == -1


def test_few_samples_show_no_loss_at_all() -> None:
    assert find_smallest_loss(4, 0) > 1
    assert find_smallest_loss(5, 0) == 1


def test_many_samples_take_no_time_and_keep_their_digits() -> None:
    assert chance_of_loss(100_000, 100_000) == pytest.approx(0.5, abs=2e-3)
    assert find_smallest_loss(1_000_000, 200_000) == pytest.approx(7.36e-4, rel=0.01)
