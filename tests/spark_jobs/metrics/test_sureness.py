"""Intervals and what a test side can tell, against tables and against trying it out."""

import numpy as np
import pytest

from spark_jobs.metrics.sureness import (
    bootstrap_macro_f1,
    draw_weights,
    find_needed,
    find_tellable,
    find_wilson_interval,
    guess_discordant,
    write_warning,
)


def test_wilson() -> None:
    # statsmodels.stats.proportion.proportion_confint(145, 153, method="wilson")
    found = find_wilson_interval(145, 153)
    assert (round(found.low, 3), round(found.high, 3)) == (0.9, 0.973)
    assert find_wilson_interval(0, 0).model_dump() == {"low": 0.0, "high": 1.0}
    assert find_wilson_interval(10, 10).high == 1.0


def test_bootstrap_is_as_wide_as_the_truth() -> None:
    """Drawn again and again from what the pairs were drawn from, macro F1 spreads as much."""
    shares = {("a", "a"): 0.6, ("a", "b"): 0.1, ("b", "b"): 0.25, ("b", "a"): 0.05}
    pairs = {pair: round(share * 500) for pair, share in shares.items()}
    found = bootstrap_macro_f1(pairs, seed=3)
    assert found == bootstrap_macro_f1(dict(reversed(pairs.items())), seed=3)
    assert found != bootstrap_macro_f1(pairs, seed=4)
    drawn = np.random.default_rng(0).multinomial(500, list(shares.values()), 4000)
    tp_a, ab, tp_b, ba = drawn.T
    truth = (2 * tp_a / (2 * tp_a + ab + ba) + 2 * tp_b / (2 * tp_b + ab + ba)) / 2
    low, high = np.quantile(truth, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_weights_are_poisson_and_equal_within_a_group() -> None:
    weights = draw_weights(np.array([5, 5, 7], np.uint64), 20_000, seed=1)
    assert (weights[0] == weights[1]).all()
    assert weights[0].mean() == pytest.approx(1, abs=0.03)
    assert weights[0].var() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(weights[0], weights[2])[0, 1]) < 0.03
    assert (draw_weights(np.array([5], np.uint64), 20_000, seed=2) != weights[0]).any()


def test_tellable_difference_is_told_four_times_in_five() -> None:
    """McNemar's test on drawn pairs of models that differ by just so much."""
    discordant, samples = 0.18, 600
    difference = find_tellable(discordant, samples)
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    better, worse, _ = np.random.default_rng(0).multinomial(samples, shares, 4000).T
    shown = (better - worse) / np.sqrt(better + worse) > 1.96
    assert shown.mean() == pytest.approx(0.8, abs=0.03)
    assert find_needed(discordant, difference) == pytest.approx(samples, abs=1)


def test_warning_says_what_would_do() -> None:
    warning = write_warning(guess_discordant(0.95, 153), 153)
    assert "153 pictures" in warning
    assert "About 2," in warning
    assert write_warning(guess_discordant(0.95, 20_000), 20_000) == ""
    assert 0.05 < find_tellable(guess_discordant(1.0, 50), 50) < 0.2
    assert find_tellable(0.5, 0) == 1.0
