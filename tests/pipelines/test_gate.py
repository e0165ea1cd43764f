"""The gate's rows: floor, champion, and what it says."""

import re

import pytest

from pipelines.gate import decide_gate
from spark_jobs.spec import Champion
from tests.pipelines.literals import EVALUATE

NONE = Champion(generation=0)
WITHOUT_NUMBERS = Champion(generation=3, version=2)


def champion(accuracy: float) -> Champion:
    return Champion(generation=3, version=2, accuracy=accuracy, macro_f1=accuracy)


@pytest.mark.parametrize(
    ("accuracy", "floor", "seen", "passed", "words"),
    [
        (0.75, 0.8, NONE, False, ["0.7500", "4 test samples", "floor of 0.8000", "min_accuracy"]),
        (0.75, 0.8, champion(0.5), False, ["0.7500", "floor of 0.8000"]),
        (0.75, 0.75, NONE, True, ["0.7500", "floor of 0.7500", "no champion"]),
        (0.75, 0.0, WITHOUT_NUMBERS, True, ["0.7500", "no champion"]),
        (0.75, 0.5, champion(0.5), True, ["0.7500", "floor of 0.5000", "version 2", "0.5000."]),
        (0.75, 0.5, champion(0.75), True, ["0.7500", "version 2", "0.7500."]),
        (0.75, 0.5, champion(1.0), False, ["0.7500", "below", "version 2", "1.0000", "same"]),
        (0.0, 0.0, NONE, True, ["0.0000", "floor of 0.0000"]),
    ],
    ids=[
        "below the floor",
        "below the floor, above the champion",
        "on the floor",
        "champion that was not measured",
        "better than the champion",
        "equal to the champion",
        "worse than the champion",
        "nothing asked",
    ],
)
def test_who_may_pass(
    accuracy: float, floor: float, seen: Champion, passed: bool, words: list[str]
) -> None:
    outcome = EVALUATE.model_copy(update={"accuracy": accuracy, "champion": seen})
    decision = decide_gate(outcome, min_accuracy=floor, deploy=True)
    assert (decision.passed, decision.good_enough) == (passed, passed)
    assert [word for word in words if word not in decision.reason] == []
    assert decision.reason[0].isupper()
    assert decision.reason.endswith(".")


@pytest.mark.parametrize(("floor", "good_enough"), [(0.5, True), (0.8, False)])
def test_without_deployment_nothing_passes(floor: float, good_enough: bool) -> None:
    decision = decide_gate(EVALUATE, min_accuracy=floor, deploy=False)
    assert (decision.passed, decision.good_enough) == (False, good_enough)
    assert ("do not put in service" in decision.reason) == good_enough


@pytest.mark.parametrize(("floor", "seen"), [(0.8, NONE), (0.5, champion(0.8))])
def test_two_numbers_that_differ_look_different(floor: float, seen: Champion) -> None:
    outcome = EVALUATE.model_copy(update={"accuracy": 0.79996, "champion": seen})
    decision = decide_gate(outcome, min_accuracy=floor, deploy=True)
    assert not decision.passed
    assert len(set(re.findall(r"0\.\d+", decision.reason))) == 2


def test_numbers_are_kept_for_the_audit() -> None:
    numbers = decide_gate(EVALUATE, min_accuracy=0.6, deploy=True).numbers
    assert (numbers.accuracy, numbers.min_accuracy) == (0.75, 0.6)
    assert (numbers.champion_version, numbers.champion_accuracy) == (2, 0.5)
