"""What a person said where the gate asked. Pure."""

from datetime import datetime

from pipelines.gate.decision import GateDecision
from serving.job.spec import Spec

# Whoever starts a run in the evening answers in the morning.
ANSWER_HOURS = 24


class Answer(Spec):
    """answer.json of a run. asked: fingerprint of the decision that was asked about.

    who: empty where nobody answered in time, which is a no.
    """

    asked: str
    approved: bool
    who: str
    at: datetime

    @property
    def sentence(self) -> str:
        """For the run's reason."""
        if not self.who:
            return f"Nobody answered within {ANSWER_HOURS} hours, which is a no."
        return f"{self.who} {'approved' if self.approved else 'rejected'} it."


def settle(decision: GateDecision, answer: Answer | None) -> GateDecision:
    """The decision with its answer; as it was where it asked nothing, or something else then."""
    if not decision.asks or answer is None or answer.asked != decision.fingerprint():
        return decision
    numbers = decision.numbers.model_copy(update={"answered_by": answer.who})
    return GateDecision(
        passed=answer.approved,
        good_enough=answer.approved,
        reason=f"{decision.reason} {answer.sentence}",
        numbers=numbers,
    )
