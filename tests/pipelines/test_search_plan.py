"""Which inputs the search may choose among: from the form and the cards alone."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.request import RunRequest
from pipelines.search_plan import BACKBONES, choose_inputs, search_seconds
from serving.bundle.manifest import Resize
from serving.job.errors import UserError
from serving.job.inputs import GivenWeights
from tests.pipelines.literals import CARDS

LITE0, LITE1, LITE2 = (f"efficientnet-lite{number}" for number in range(3))


def ask(**fields: Any) -> RunRequest:
    return RunRequest(dataset="boards", **fields)


def name(**fields: Any) -> list[str]:
    return [one.name.removeprefix("efficientnet-") for one in choose_inputs(ask(**fields), CARDS)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["lite2 crop", "lite1 crop", "lite0 crop", "lite0 squash"]),
        ({"budget_minutes": 3}, ["lite2 crop", "lite1 crop", "lite0 crop", "lite0 squash"]),
        ({"budget_minutes": 2.9}, ["lite1 crop", "lite0 crop"]),
        ({"budget_minutes": 1}, ["lite0 crop"]),
        ({"budget_minutes": 0.01}, ["lite0 crop"]),
        ({"resize": "squash"}, ["lite2 squash", "lite1 squash", "lite0 squash"]),
        ({"resize": "letterbox", "budget_minutes": 1}, ["lite0 letterbox"]),
        ({"max_latency_ms": 20}, ["lite1 crop", "lite0 crop", "lite0 squash"]),
        ({"max_model_mb": 14.0}, ["lite0 crop", "lite0 squash"]),
        ({"max_model_mb": 14.0, "max_latency_ms": 12.0}, ["lite0 crop", "lite0 squash"]),
        ({"backbones": (LITE1,)}, ["lite1 crop", "lite1 squash"]),
        ({"backbones": (LITE0, LITE2), "budget_minutes": 1}, ["lite2 crop", "lite0 crop"]),
        ({"backbones": (LITE1, LITE2), "max_latency_ms": 20}, ["lite1 crop", "lite1 squash"]),
        ({"backbones": (LITE1, LITE1), "resize": "crop"}, ["lite1 crop"]),
        ({"backbones": ("auto", LITE2), "budget_minutes": 1}, ["lite2 crop", "lite0 crop"]),
    ],
)
def test_inputs_follow_the_form(fields: dict[str, Any], expected: list[str]) -> None:
    assert name(**fields) == expected


def test_each_backbone_sees_pictures_of_its_own_size() -> None:
    sizes = {card.file.name: card.size for card in CARDS}
    inputs = choose_inputs(ask(), CARDS)
    assert len({one.preprocessing.size for one in inputs}) == 3
    assert all(one.preprocessing.size == sizes[one.backbone.name] for one in inputs)
    assert [one.backbone for one in inputs[:3]] == [card.file for card in reversed(CARDS)]


def test_the_order_of_the_cards_decides_nothing() -> None:
    assert choose_inputs(ask(), CARDS[::-1]) == choose_inputs(ask(), CARDS)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"max_latency_ms": 5, "max_model_mb": 100},
            ["max_latency_ms was 5,", "lite0 12.0 ms and 14.0 MB", "lite2 26.0 ms and 21.0 MB"],
        ),
        ({"max_model_mb": 13.5}, ["max_model_mb was 13.5,", "or 0"]),
        (
            {"max_latency_ms": 15, "max_model_mb": 1},
            ["max_latency_ms was 15 and max_model_mb was 1,"],
        ),
        ({"max_latency_ms": 15, "backbones": (LITE2,)}, ["no backbone meets that: efficient"]),
    ],
)
def test_limits_that_no_backbone_meets_are_told(fields: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        choose_inputs(ask(**fields), CARDS)
    said = str(raised.value)
    assert [word for word in words if word not in said] == []
    wanted = fields.get("backbones", BACKBONES)
    assert [one for one in BACKBONES if one in said] == [*wanted]


@given(
    budget=st.floats(0.01, 10_080),
    resize=st.sampled_from(["auto", *get_args(Resize)]),
    latency=st.floats(12, 40),
    size=st.floats(14, 40),
)
def test_any_form_that_something_meets_gets_different_inputs_within_the_limits(
    budget: float, resize: Any, latency: float, size: float
) -> None:
    request = ask(budget_minutes=budget, resize=resize, max_latency_ms=latency, max_model_mb=size)
    inputs = choose_inputs(request, CARDS)
    assert len({one.name for one in inputs}) == len(inputs) > 0
    assert all(one.backbone.latency_ms <= latency for one in inputs)
    assert all(one.backbone.file_bytes <= 1e6 * size for one in inputs)


@given(short=st.floats(0.01, 10_080), long=st.floats(0.01, 10_080))
def test_more_time_is_more_search_and_no_fewer_inputs(short: float, long: float) -> None:
    short, long = sorted((short, long))
    less, more = ask(budget_minutes=short), ask(budget_minutes=long)
    assert 0 < search_seconds(less) <= search_seconds(more) < 60 * long
    assert set(choose_inputs(less, CARDS)) <= set(choose_inputs(more, CARDS))


ADDED = CARDS[0].model_copy(
    update={"file": CARDS[0].file.model_copy(update={"name": "squeezed"}), "flops": 1}
)


@pytest.mark.parametrize(
    ("backbones", "expected"),
    [
        (("auto",), ["lite0 crop"]),
        (("squeezed",), ["squeezed crop"]),
        (("auto", "squeezed"), ["lite0 crop", "squeezed crop"]),
        (("squeezed", LITE1), ["lite1 crop", "squeezed crop"]),
    ],
)
def test_added_backbone_is_taken_where_it_is_named(
    backbones: tuple[str, ...], expected: list[str]
) -> None:
    request = ask(backbones=backbones, budget_minutes=1)
    inputs = choose_inputs(request, (*CARDS, ADDED))
    assert [one.name.removeprefix("efficientnet-") for one in inputs] == expected


WEIGHTS = GivenWeights(network="resnet18", uri="file:///w", sha256="2" * 64, untrained=True)
SCRATCH = CARDS[0].model_copy(
    update={"file": CARDS[0].file.model_copy(update={"name": "ours", "weights": WEIGHTS})}
)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"deepest": "head"}, "ours has learned nothing yet, and deepest was head"),
        ({"deepest": "last_blocks"}, "Allowed with it: deepest=network"),
        ({"deepest": "network", "backbones": ("auto", "ours")}, "from scratch alone, or none"),
        ({"deepest": "network", "backbones": ("ours", "squeezed")}, "was ours, squeezed, but ours"),
    ],
)
def test_backbone_from_scratch_is_refused_where_it_would_not_be_trained(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as raised:
        choose_inputs(ask(**{"backbones": ("ours",)} | fields), (*CARDS, ADDED, SCRATCH))
    assert sentence in str(raised.value)


def test_backbone_from_scratch_is_taken_to_be_trained_and_is_no_matter_where_it_only_lies() -> None:
    cards = (*CARDS, ADDED, SCRATCH)
    inputs = choose_inputs(ask(backbones=("ours",), deepest="network", resize="crop"), cards)
    assert [one.name for one in inputs] == ["ours crop"]
    assert choose_inputs(ask(deepest="head"), cards) == choose_inputs(ask(deepest="head"), CARDS)


def test_backbone_that_is_not_here_is_told_with_those_that_are() -> None:
    with pytest.raises(UserError) as raised:
        choose_inputs(ask(backbones=("auto", "resnet18")), (*CARDS, ADDED))
    said = str(raised.value)
    assert "resnet18 is not here" in said
    assert all(word in said for word in ("auto", *BACKBONES, "squeezed", "backbone add"))
