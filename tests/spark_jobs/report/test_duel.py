"""Which of two models is better, as a test and in words."""

import pytest
from scipy.stats import binomtest

from serving.job.evaluation import Paired
from serving.job.paired_test import chance_of_difference
from spark_jobs.report.duel import say_who_is_better


@pytest.mark.parametrize(
    ("one", "other"), [(0, 0), (1, 0), (5, 5), (0, 6), (18, 8), (120, 90), (5000, 5200)]
)
def test_the_chance_is_the_exact_one(one: int, other: int) -> None:
    wanted = binomtest(one, one + other).pvalue if one + other else 1.0
    assert chance_of_difference(one, other) == pytest.approx(wanted, rel=1e-9)
    assert chance_of_difference(other, one) == chance_of_difference(one, other)


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (18, 8, "That may well be chance: two equally good models differ at least so much in 7.6"),
        (20, 5, "This model is better: two equally good models differ at least so much in 0.4"),
        (3, 40, "The one in service is better: two equally good models differ at least so much in"),
        (0, 0, "Both are right on the same 100 of 110 pictures."),
    ],
)
def test_in_words(ours: int, theirs: int, told: str) -> None:
    paired = Paired(both=100, challenger_only=ours, champion_only=theirs, neither=10)
    assert told in say_who_is_better(paired)
