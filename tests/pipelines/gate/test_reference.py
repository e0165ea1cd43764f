"""Many small steps, each not worse by much than the one before, do not lead far down."""

from itertools import count

import pytest

from pipelines.gate.decision import GateDecision, decide_gate
from pipelines.request import RunRequest
from serving.desired import DesiredState, PastVersion
from serving.job.evaluation import Paired
from serving.reference import choose_reference
from spark_jobs.spec import Champion, EvaluateOutcome
from tests.pipelines.literals import EVALUATE

SAMPLES, MAX_LOSS = 10_000, 0.01
# What each version adds to the wrong answers: surely less than a point, and maybe chance.
STEP = 4


def pair(ours: int, theirs: int) -> Paired:
    """Numbers of wrong answers, those of the one being part of the other's."""
    fewer, more = min(ours, theirs), max(ours, theirs)
    return Paired(
        both=SAMPLES - more,
        challenger_only=max(0, theirs - ours),
        champion_only=max(0, ours - theirs),
        neither=fewer,
    )


def see(version: int, wrong: int, ours: int) -> Champion:
    """Another model, as the evaluation of one with so many wrong answers sees it."""
    accuracy = 1 - wrong / SAMPLES
    paired = pair(ours, wrong)
    return Champion(
        generation=1, version=version, accuracy=accuracy, macro_f1=accuracy, paired=paired
    )


def evaluate(ours: int, champion: Champion, reference: Champion | None) -> EvaluateOutcome:
    numbers = {"accuracy": 1 - ours / SAMPLES, "macro_f1": 1 - ours / SAMPLES}
    seen = {"test_samples": SAMPLES, "champion": champion, "reference": reference}
    return EVALUATE.model_copy(update={**numbers, **seen})


def decide(outcome: EvaluateOutcome, on_unsure: str = "keep") -> GateDecision:
    form = {"dataset": "boards", "min_accuracy": 0.5, "max_loss": MAX_LOSS, "on_unsure": on_unsure}
    return decide_gate(outcome, RunRequest.model_validate(form))


class Deployment:
    """What serves, how many wrong answers each version gives, and what the gate says."""

    def __init__(self, wrong: int) -> None:
        target = place(1)
        gate = decide(evaluate(wrong, Champion(generation=0), None)).numbers
        self.wrong = {1: wrong}
        self.state = DesiredState(
            deployment="boards",
            generation=1,
            port=1,
            reference=choose_reference(None, target, gate),
            **target.model_dump(),
        )

    @property
    def held_to(self) -> int:
        assert self.state.reference is not None
        return self.state.reference.version

    def offer(self, wrong: int, *, held: bool = True) -> GateDecision:
        """The next version asks to come in; held: to the reference, too."""
        version, serving = max(self.wrong) + 1, self.state.version
        reference = None
        if held and self.held_to != serving:
            reference = see(self.held_to, self.wrong[self.held_to], wrong)
        champion = see(serving, self.wrong[serving], wrong)
        decision = decide(evaluate(wrong, champion, reference))
        if decision.passed:
            target = place(version)
            chosen = choose_reference(self.state, target, decision.numbers)
            self.state = self.state.serve_next(target, reference=chosen)
            self.wrong[version] = wrong
        return decision


def place(version: int) -> PastVersion:
    return PastVersion(version=version, image_tag="", bundle_uri=f"file:///{version}")


def test_the_champion_alone_lets_quality_walk_down() -> None:
    deployment = Deployment(500)
    for step in range(1, 100):
        assert deployment.offer(500 + step * STEP, held=False).passed
    assert deployment.wrong[deployment.state.version] - 500 > 2 * MAX_LOSS * SAMPLES


def test_the_reference_stops_the_walk() -> None:
    deployment = Deployment(500)
    for step in count(1):
        decision = deployment.offer(500 + step * STEP)
        if not decision.passed:
            break
    assert deployment.held_to == 1
    lost = deployment.wrong[deployment.state.version] - 500
    assert 0 < lost <= MAX_LOSS * SAMPLES
    assert "clearly worse" in decision.reason
    assert "the reference's (version 1)" in decision.reason
    numbers = decision.numbers
    assert (numbers.standing, numbers.reference_standing) == ("nearly_as_good", "worse")
    assert (numbers.reference_version, numbers.reference_samples) == (1, SAMPLES)
    assert (numbers.reference_challenger_only, numbers.reference_only) == (0, lost + STEP)
    # One that is as good as the reference comes in, and takes its place.
    assert deployment.offer(500).passed
    assert deployment.held_to == deployment.state.version


def test_whoever_is_at_least_as_good_becomes_the_reference() -> None:
    deployment = Deployment(500)
    seen = []
    for wrong in (500, 503, 501, 499, 502):
        assert deployment.offer(wrong).passed
        seen.append((deployment.state.version, deployment.held_to))
    # Better than what serves is not enough: the fourth beats the third, but not the second.
    assert seen == [(2, 2), (3, 2), (4, 2), (5, 5), (6, 5)]


def test_a_deployment_of_before_is_held_to_its_champion() -> None:
    deployment = Deployment(500)
    deployment.state = deployment.state.model_copy(update={"reference": None})
    gate = decide(evaluate(503, see(1, 500, 503), None)).numbers
    assert choose_reference(deployment.state, place(2), gate).version == 1
    gate = decide(evaluate(500, see(1, 500, 500), None)).numbers
    assert choose_reference(deployment.state, place(2), gate).version == 2


def test_who_goes_back_from_the_reference_is_not_held_to_it() -> None:
    deployment = Deployment(500)
    assert deployment.offer(490).passed
    back = deployment.state.serve_again(place(1))
    assert back.reference == place(1)
    pinned = deployment.state.advance(reference=place(1)).serve_again(place(1))
    assert pinned.reference == place(1)


@pytest.mark.parametrize(
    ("update", "word"),
    [
        ({"paired": None, "note": "The reference's bundle x cannot be scored: gone"}, "gone"),
        (
            {"paired": Paired(both=0, challenger_only=0, champion_only=0, neither=0)},
            "nothing was compared with the reference",
        ),
    ],
)
def test_a_reference_that_proves_nothing_is_left_out(update: dict[str, object], word: str) -> None:
    reference = see(1, 100, 500).model_copy(update=update)
    decision = decide(evaluate(500, see(2, 500, 500), reference))
    assert decision.passed
    assert word in decision.reason
    assert "./modelmill pin" in decision.reason
    assert (decision.numbers.reference_version, decision.numbers.reference_standing) == (1, None)


@pytest.mark.parametrize(
    ("on_unsure", "passed", "asks"),
    [("ask", False, True), ("keep", False, False), ("promote", True, False)],
)
def test_what_cannot_be_told_of_the_reference_is_the_forms(
    on_unsure: str, passed: bool, asks: bool
) -> None:
    close = Paired(both=140, challenger_only=3, champion_only=6, neither=4)
    reference = see(1, 10, 12).model_copy(update={"paired": close})
    decision = decide(evaluate(500, see(2, 500, 500), reference), on_unsure)
    assert (decision.passed, decision.asks) == (passed, asks)
    assert decision.numbers.reference_standing == "unsure"
