"""The gate's rows: floors, limits, champion, and what it says."""

import re

import pytest

from pipelines.gate.decision import GateDecision, decide_gate
from pipelines.gate.rules import ModelCost
from pipelines.request import RunRequest
from serving.job.evaluation import Paired
from spark_jobs.spec import Champion, ClassMetrics, EvaluateOutcome
from tests.pipelines.literals import EVALUATE

NONE = Champion(generation=0)
WITHOUT_NUMBERS = Champion(generation=3, version=2)
# A rare class that is seldom found.
WEAK = ClassMetrics(label="fray", precision=1.0, recall=0.25, f1=0.4, support=8)


def champion(accuracy: float) -> Champion:
    return Champion(generation=3, version=2, accuracy=accuracy, macro_f1=accuracy)


def compared(both: int, gained: int, lost: int, neither: int) -> EvaluateOutcome:
    """gained, lost: right with the challenger alone, with the champion alone."""
    paired = Paired(both=both, challenger_only=gained, champion_only=lost, neither=neither)
    n = paired.samples
    seen = champion((both + lost) / n).model_copy(update={"paired": paired})
    numbers = {"accuracy": (both + gained) / n, "test_samples": n, "champion": seen}
    return EVALUATE.model_copy(update=numbers)


def decide(outcome: EvaluateOutcome, cost: ModelCost | None = None, **form: object) -> GateDecision:
    request = RunRequest.model_validate({"dataset": "boards", "min_accuracy": 0.5, **form})
    return decide_gate(outcome, request, cost)


@pytest.mark.parametrize(
    ("accuracy", "floor", "seen", "passed", "words"),
    [
        (0.75, 0.8, NONE, False, ["0.7500", "4 test samples", "floor of 0.8000", "min_accuracy"]),
        (0.75, 0.8, champion(0.5), False, ["0.7500", "floor of 0.8000"]),
        (0.75, 0.75, NONE, True, ["0.7500", "floor of 0.7500", "no champion"]),
        (0.75, 0.0, WITHOUT_NUMBERS, True, ["0.7500", "version 2", "could not be scored"]),
        (0.75, 0.5, champion(0.5), True, ["0.7500", "version 2", "0.5000"]),
        (0.75, 0.5, champion(0.75), True, ["0.7500", "version 2", "0.7500"]),
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
def test_who_may_pass_where_only_accuracies_are_known(
    accuracy: float, floor: float, seen: Champion, passed: bool, words: list[str]
) -> None:
    outcome = EVALUATE.model_copy(update={"accuracy": accuracy, "champion": seen})
    decision = decide(outcome, min_accuracy=floor)
    assert (decision.passed, decision.good_enough, decision.asks) == (passed, passed, False)
    assert [word for word in words if word not in decision.reason] == []
    assert decision.reason[0].isupper()
    assert decision.reason.endswith(".")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (compared(140, 6, 6, 1), ["reaches", "version 2", "alone is right on 6", "153 test"]),
        (compared(140, 0, 0, 13), ["reaches"]),
        (compared(140, 7, 3, 3), ["reaches", "0.9608", "0.9346"]),
        # Two more wrong of 1,000: surely not worse by 0.01.
        (compared(900, 4, 6, 90), ["0.9040", "0.9060", "95 %", "0.01 (max_loss)"]),
    ],
    ids=["as good", "the same answers", "better, though it may be chance", "surely nearly as good"],
)
@pytest.mark.parametrize("on_unsure", ["ask", "keep", "promote"])
def test_no_worse_goes_in_whatever_the_form_says(
    outcome: EvaluateOutcome, words: list[str], on_unsure: str
) -> None:
    decision = decide(outcome, on_unsure=on_unsure)
    assert (decision.passed, decision.good_enough, decision.asks) == (True, True, False)
    assert [word for word in words if word not in decision.reason] == []


@pytest.mark.parametrize("on_unsure", ["ask", "keep", "promote"])
def test_clearly_worse_never_goes_in(on_unsure: str) -> None:
    decision = decide(compared(140, 1, 9, 3), on_unsure=on_unsure, max_loss=1)
    assert (decision.passed, decision.good_enough, decision.asks) == (False, False, False)
    assert "clearly worse" in decision.reason
    assert "in 1 of 100 cases" in decision.reason


@pytest.mark.parametrize(
    ("on_unsure", "passed", "asks"),
    [("ask", False, True), ("keep", False, False), ("promote", True, False)],
)
def test_the_form_decides_what_the_pictures_cannot(
    on_unsure: str, passed: bool, asks: bool
) -> None:
    decision = decide(compared(140, 4, 5, 4), on_unsure=on_unsure)
    assert (decision.passed, decision.good_enough, decision.asks) == (passed, passed, asks)
    for words in ("may be chance", "in 50 of 100", f"on_unsure: {on_unsure}", "0.0458"):
        assert words in decision.reason
    assert decision.numbers.standing == "unsure"
    assert decision.numbers.tellable == pytest.approx(7 / 153)


def test_a_larger_loss_that_does_no_harm_settles_it() -> None:
    unsure = compared(140, 4, 5, 4)
    assert decide(unsure, max_loss=0.04).asks
    assert decide(unsure, max_loss=0.05).passed


def test_where_no_sample_is_left_nothing_is_sure() -> None:
    paired = Paired(both=0, challenger_only=0, champion_only=0, neither=0)
    seen = champion(0.9).model_copy(update={"paired": paired})
    decision = decide(EVALUATE.model_copy(update={"champion": seen}))
    assert decision.asks
    assert "No test sample is left" in decision.reason


@pytest.mark.parametrize("on_unsure", ["ask", "keep"])
def test_nobody_is_asked_about_what_would_not_be_deployed(on_unsure: str) -> None:
    decision = decide(compared(140, 4, 5, 4), on_unsure=on_unsure, deploy=False)
    assert (decision.passed, decision.good_enough, decision.asks) == (False, False, False)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"min_macro_f1": 0.8}, ["Macro-F1 0.7333", "0.8000", "min_macro_f1"]),
        ({"min_class_recall": 0.6}, ["'钢'", "0.5000", "2 test samples", "min_class_recall"]),
        ({"max_latency_ms": 20}, ["20.5 ms", "limit of 20.0", "max_latency_ms"]),
        ({"max_model_mb": 14}, ["14.04 MB", "limit of 14.00", "max_model_mb"]),
        (
            {"min_accuracy": 0.9, "min_macro_f1": 0.9, "max_model_mb": 3},
            ["min_accuracy", "min_macro_f1", "max_model_mb"],
        ),
    ],
    ids=["macro-F1", "worst class", "latency", "size", "all that is missed is said"],
)
def test_each_floor_and_limit_stops(form: dict[str, float], words: list[str]) -> None:
    cost = ModelCost(latency_ms=20.5, model_mb=14.04)
    decision = decide(EVALUATE, cost, **form)
    assert (decision.passed, decision.good_enough, decision.asks) == (False, False, False)
    assert [word for word in words if word not in decision.reason] == []


def test_on_a_floor_and_on_a_limit_passes() -> None:
    decision = decide(
        EVALUATE,
        ModelCost(latency_ms=20, model_mb=14),
        min_accuracy=0.75,
        min_macro_f1=0.7333,
        min_class_recall=0.5,
        max_latency_ms=20,
        max_model_mb=14,
    )
    assert decision.passed


def test_the_evaluations_own_weakest_class_counts() -> None:
    outcome = EVALUATE.model_copy(update={"weakest": WEAK})
    assert decide(outcome, min_class_recall=0.25).passed
    assert "'fray'" in decide(outcome, min_class_recall=0.3).reason


def test_a_model_that_learned_from_its_test_side_never_goes_in() -> None:
    decision = decide(EVALUATE.model_copy(update={"leaked": 1}))
    assert not decision.good_enough
    assert "learned from 1 of its 4 test samples" in decision.reason
    assert decision.numbers.leaked == 1


def test_what_is_no_part_of_the_comparison_is_said() -> None:
    outcome = compared(140, 6, 6, 1)
    note = "The champion does not know 'ash'."
    seen = outcome.champion.model_copy(update={"leaked": 7, "note": note})
    outcome = outcome.model_copy(update={"leaked": 0, "leaked_copies": 3, "champion": seen})
    decision = decide(outcome)
    assert decision.passed
    assert f" {note} 3 test samples are copies" in decision.reason
    assert "7 test samples, or copies of them, were learned from by the champion" in decision.reason
    assert (decision.numbers.leaked_copies, decision.numbers.champion_leaked) == (3, 7)
    assert "learned" not in decide(compared(140, 6, 6, 1)).reason


def test_an_evaluation_of_earlier_versions_names_its_weakest_class() -> None:
    """It had the whole table, a class without test samples in it."""
    table = [
        WEAK.model_dump(),
        WEAK.model_dump() | {"label": "none", "support": 0, "recall": 0.0},
        WEAK.model_dump() | {"label": "oak", "recall": 1.0},
    ]
    earlier = EVALUATE.model_dump(exclude={"weakest"}) | {"per_class": table}
    outcome = EvaluateOutcome.model_validate(earlier)
    assert outcome.weakest == WEAK
    assert decide(outcome, min_class_recall=0.25).passed
    assert not decide(outcome, min_class_recall=0.3).passed


@pytest.mark.parametrize(("floor", "good_enough"), [(0.5, True), (0.8, False)])
def test_without_deployment_nothing_passes(floor: float, good_enough: bool) -> None:
    decision = decide(EVALUATE, min_accuracy=floor, deploy=False)
    assert (decision.passed, decision.good_enough) == (False, good_enough)
    assert ("do not put in service" in decision.reason) == good_enough


@pytest.mark.parametrize(("floor", "seen"), [(0.8, NONE), (0.5, champion(0.8))])
def test_two_numbers_that_differ_look_different(floor: float, seen: Champion) -> None:
    outcome = EVALUATE.model_copy(update={"accuracy": 0.79996, "champion": seen})
    decision = decide(outcome, min_accuracy=floor)
    assert not decision.passed
    assert len(set(re.findall(r"0\.\d+", decision.reason))) == 2


def test_numbers_are_kept_for_the_audit() -> None:
    numbers = decide(EVALUATE, ModelCost(latency_ms=20, model_mb=14), min_accuracy=0.6).numbers
    assert (numbers.accuracy, numbers.min_accuracy) == (0.75, 0.6)
    assert (numbers.champion_version, numbers.champion_accuracy) == (2, 0.5)
    assert (numbers.latency_ms, numbers.model_mb) == (20, 14)
    numbers = decide(compared(140, 4, 5, 4)).numbers
    assert (numbers.challenger_only, numbers.champion_only, numbers.compared_samples) == (4, 5, 153)
    assert numbers.chance == pytest.approx(0.5)
    assert numbers.worst_difference == pytest.approx(-0.0432, abs=1e-4)


def test_what_an_earlier_version_decided_is_read() -> None:
    old = (
        '{"passed": true, "good_enough": true, "reason": "Good enough.", "numbers": {"accuracy": '
        '0.75, "min_accuracy": 0.5, "champion_version": 2, "champion_accuracy": 0.5}}'
    )
    decision = GateDecision.model_validate_json(old)
    assert (decision.passed, decision.asks, decision.numbers.chance) == (True, False, None)


def test_where_there_are_several_labels_it_says_what_is_right() -> None:
    several = {"task": "image_multilabel"}
    for outcome in (compared(140, 4, 5, 4), EVALUATE.model_copy(update={"champion": NONE})):
        decision = decide(outcome.model_copy(update=several), on_unsure="keep")
        assert decision.reason.startswith("Accuracy (all labels right) 0.")
        assert decide(outcome, on_unsure="keep").reason.startswith("Accuracy 0.")
    missed = decide(EVALUATE.model_copy(update=several), min_accuracy=0.8)
    assert "Accuracy (all labels right) 0.7500 on 4 test samples is below" in missed.reason
