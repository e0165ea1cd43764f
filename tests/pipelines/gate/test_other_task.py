"""A model in service whose answers are of another kind: nobody's API changes unasked."""

import pytest

from pipelines.gate.decision import decide_gate
from pipelines.request import RunRequest
from serving.desired import DesiredState, PastVersion
from serving.reference import choose_reference
from spark_jobs.spec import Champion
from tests.pipelines.literals import EVALUATE

NOTE = "The champion gives one label a picture, the new model several labels a picture."
OTHER = Champion(generation=3, version=2, note=NOTE, other_task=True)


@pytest.mark.parametrize(
    ("on_unsure", "passed", "asks"),
    [("ask", False, True), ("keep", False, False), ("promote", True, False)],
)
def test_the_form_decides(on_unsure: str, passed: bool, asks: bool) -> None:
    form = RunRequest.model_validate(
        {"dataset": "boards", "min_accuracy": 0.5, "on_unsure": on_unsure}
    )
    outcome = EVALUATE.model_copy(update={"champion": OTHER})
    decision = decide_gate(outcome, form)
    assert (decision.passed, decision.good_enough, decision.asks) == (passed, passed, asks)
    for words in ("version 2", "another kind of answers", f"on_unsure: {on_unsure}", NOTE):
        assert words in decision.reason
    assert "could not be scored" not in decision.reason
    assert decision.numbers.standing == "other_task"
    # One that is gone is none to beat, as ever; so was one of another kind in earlier outcomes.
    gone = OTHER.model_dump(exclude={"other_task"})
    read = EVALUATE.model_copy(update={"champion": Champion.model_validate(gone)})
    assert decide_gate(read, form).passed


def test_below_a_floor_nobody_is_asked() -> None:
    form = RunRequest.model_validate({"dataset": "boards", "min_accuracy": 0.8})
    decision = decide_gate(EVALUATE.model_copy(update={"champion": OTHER}), form)
    assert (decision.passed, decision.asks) == (False, False)


def test_the_first_of_another_kind_is_what_later_ones_are_held_to() -> None:
    def place(version: int) -> PastVersion:
        return PastVersion(version=version, image_tag="", bundle_uri=f"file:///{version}")

    form = RunRequest.model_validate({"dataset": "boards", "min_accuracy": 0.5})
    outcome = EVALUATE.model_copy(update={"champion": OTHER})
    numbers = decide_gate(outcome, form).numbers
    for earlier in (1, 2):
        current = DesiredState(
            deployment="boards",
            generation=2,
            port=1,
            reference=place(earlier),
            **place(2).model_dump(),
        )
        assert choose_reference(current, place(3), numbers).version == 3
        # One that it was compared with stays, unless it is as good.
        held = numbers.model_copy(
            update={"reference_version": 1, "reference_standing": "nearly_as_good"}
        )
        assert choose_reference(current, place(3), held).version == earlier


def test_a_reference_of_another_kind_gives_way() -> None:
    """As after a return by hand: champion and new one are of one kind, and it is not."""
    form = RunRequest.model_validate({"dataset": "boards", "min_accuracy": 0.5})
    outcome = EVALUATE.model_copy(update={"reference": OTHER.model_copy(update={"version": 1})})
    numbers = decide_gate(outcome, form).numbers
    assert numbers.reference_other_task
    place = {"image_tag": "", "bundle_uri": "file:///b"}
    current = DesiredState(
        deployment="boards",
        generation=2,
        port=1,
        version=2,
        reference=PastVersion(version=1, **place),
        **place,
    )
    assert choose_reference(current, PastVersion(version=3, **place), numbers).version == 3
