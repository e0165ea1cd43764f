"""What a canary's numbers lead to: few prove nothing, many do, and order never matters."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact

from serving.canary_verdict import (
    EARLY_LEVEL,
    LEVEL,
    Seen,
    chance_of_errors,
    chance_of_slowness,
    count_slower,
    find_limit,
    find_percentile,
    judge,
)

EDGES = (0.01, 0.02, 0.04, 0.08, 0.16, math.inf)


def time_answers(*counts: int) -> tuple[tuple[float, int], ...]:
    """counts: answers between one edge and the next."""
    return tuple((edge, sum(counts[: n + 1])) for n, edge in enumerate(EDGES))


@st.composite
def seen(draw: st.DrawFn) -> Seen:
    requests = draw(st.integers(0, 300))
    return Seen(requests=requests, errors=draw(st.integers(0, requests)))


@given(seen(), seen())
def test_chance_of_errors_is_fishers(champion: Seen, canary: Seen) -> None:
    table = [
        [canary.errors, canary.requests - canary.errors],
        [champion.errors, champion.requests - champion.errors],
    ]
    expected = fisher_exact(table, alternative="greater").pvalue
    assert chance_of_errors(champion, canary) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(seen(), seen())
def test_one_more_error_never_speaks_for_the_canary(champion: Seen, canary: Seen) -> None:
    if canary.errors < canary.requests:
        worse = canary.model_copy(update={"errors": canary.errors + 1})
        assert chance_of_errors(champion, worse) <= chance_of_errors(champion, canary) + 1e-9


@given(seen(), seen())
def test_a_canary_that_fails_no_more_often_stays(champion: Seen, canary: Seen) -> None:
    if canary.errors * champion.requests <= champion.errors * canary.requests and (
        canary.errors < max(1, canary.requests)
    ):
        assert judge(champion, canary, over=True).decision == "promote"


@given(seen(), seen())
def test_what_is_clear_during_the_window_is_clear_at_its_end(champion: Seen, canary: Seen) -> None:
    early = judge(champion, canary, over=False).decision
    assert early in ("wait", "return")
    if early == "return":
        assert judge(champion, canary, over=True).decision == "return"
    assert EARLY_LEVEL < LEVEL


def test_few_errors_of_few_prove_nothing_and_many_do() -> None:
    champion = Seen(requests=90, errors=0)
    assert judge(champion, Seen(requests=10, errors=1), over=True).decision == "promote"
    assert judge(champion, Seen(requests=10, errors=2), over=False).decision == "wait"
    ended = judge(champion, Seen(requests=10, errors=2), over=True)
    assert ended.decision == "return"
    assert ended.why.startswith("2 of its 10 requests failed, and 0 of the 90 of the version in")
    # Where the one in service fails as often, the fault is not the canary's.
    failing = Seen(requests=90, errors=20)
    assert judge(failing, Seen(requests=10, errors=2), over=True).decision == "promote"


def test_a_canary_that_answered_nothing_at_all_goes() -> None:
    only = Seen(requests=1, errors=1)
    assert judge(Seen(requests=5), only, over=False).decision == "wait"
    assert judge(Seen(requests=5), only, over=True).decision == "return"


def test_without_requests_it_is_promoted_and_says_so() -> None:
    nothing = judge(Seen(), Seen(), over=True)
    assert (nothing.decision, nothing.why) == (
        "promote",
        "no request came in; nothing could be compared",
    )
    few = judge(Seen(requests=3), Seen(), over=True)
    assert few.why == "none of 3 requests fell to it; nothing could be compared"


def test_percentile_lies_between_the_edges() -> None:
    assert find_percentile(time_answers(100)) == pytest.approx(0.0095)
    assert find_percentile(time_answers(90, 10)) == pytest.approx(0.015)
    assert find_percentile(time_answers(0, 0, 0, 0, 0, 5)) == 0.16
    assert find_percentile(()) == 0


@given(st.lists(st.integers(0, 50), min_size=6, max_size=6))
def test_percentile_leaves_no_more_than_its_share_above(counts: list[int]) -> None:
    timed = time_answers(*counts)
    at = find_percentile(timed)
    edge = next(e for e, _ in timed if e >= at)
    if counts[-1] <= 0.05 * sum(counts):
        assert count_slower(Seen(timed=timed), edge) <= 0.05 * sum(counts) + 1e-9


def test_slow_canary_goes_once_enough_answers_tell() -> None:
    champion = Seen(requests=100, timed=time_answers(0, 100))
    limit = find_limit(champion)
    assert limit == 0.04
    slow = Seen(requests=40, timed=time_answers(0, 30, 0, 10))
    assert chance_of_slowness(slow, limit) == pytest.approx(
        binomtest(10, 40, 0.05, alternative="greater").pvalue
    )
    verdict = judge(champion, slow, over=False)
    assert verdict.decision == "return"
    assert verdict.why.startswith("10 of its 40 answers took more than 0.04 s")
    few = Seen(requests=19, timed=time_answers(0, 0, 0, 19))
    assert judge(champion, few, over=True).decision == "promote"
    # One in twenty may be as slow.
    alike = Seen(requests=100, timed=time_answers(0, 95, 0, 5))
    assert judge(champion, alike, over=True).decision == "promote"


def test_what_nobody_notices_is_not_slow() -> None:
    champion = Seen(requests=100, timed=time_answers(100))
    assert find_limit(champion) == 0.02
    assert judge(champion, Seen(requests=90, timed=time_answers(0, 90)), over=True).decision == (
        "promote"
    )


def test_a_champion_beyond_the_last_edge_cannot_be_compared() -> None:
    champion = Seen(requests=100, timed=time_answers(0, 0, 0, 0, 0, 100))
    assert math.isinf(find_limit(champion))
    canary = Seen(requests=100, timed=time_answers(0, 0, 0, 0, 0, 100))
    assert judge(champion, canary, over=True).decision == "promote"
