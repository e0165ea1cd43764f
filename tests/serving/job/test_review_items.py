"""Bad cases as review items."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.job.evaluation import BadCase, BadCases, Neighbour
from serving.job.review_items import make_review_items, measure_suspicion
from tests.serving.reviewing import THEN, sha_of

LABELS = st.sampled_from(["cat", "dog", "键盘"])


def neighbour(label: str) -> Neighbour:
    return Neighbour(sha256=sha_of(9), name="n.png", label=label, similarity=0.9)


def case(scores: tuple[tuple[str, float], ...], *near: str) -> BadCase:
    neighbours = tuple(neighbour(label) for label in near)
    return BadCase(
        sha256=sha_of(1),
        name="cat/1.png",
        label="cat",
        predicted="dog",
        scores=scores,
        neighbours=neighbours,
        reasons=("It is blurred.",),
    )


def test_fields_are_carried_over() -> None:
    one = case((("dog", 0.9), ("cat", math.nan)), "dog", "dog", "cat")
    (item,) = make_review_items(BadCases(cases=(one,)), "pets", "20260102T030405-abcdef", THEN)
    assert (item.dataset, item.sha256, item.name) == ("pets", one.sha256, one.name)
    assert (item.label, item.predicted, item.source) == ("cat", "dog", "bad_case")
    assert item.scores == (("dog", 0.9),)
    assert (item.reasons, item.neighbours) == (one.reasons, one.neighbours)
    assert (item.run_id, item.queued_at, item.decision) == ("20260102T030405-abcdef", THEN, None)


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (case((("dog", 1.0), ("cat", 0.0)), "dog", "dog", "dog"), 1.0),
        (case((("dog", 0.9), ("cat", 0.1))), 0.8),
        (case((("dog", 0.9), ("cat", 0.1)), "cat", "cat", "dog", "dog"), 0.65),
        (case((("dog", math.nan), ("cat", 0.4))), 0.0),
        (case(()), 0.0),
    ],
)
def test_suspicion(one: BadCase, wanted: float) -> None:
    assert measure_suspicion(one) == pytest.approx(wanted)


@given(st.lists(st.tuples(LABELS, st.floats()), max_size=4), st.lists(LABELS, max_size=3))
def test_suspicion_is_a_share(scores: list[tuple[str, float]], near: list[str]) -> None:
    assert 0 <= measure_suspicion(case(tuple(scores), *near)) <= 1
