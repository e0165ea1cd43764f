"""May a challenger take the champion's place? Pure."""

from serving.job.spec import Spec
from serving.spec import GateNumbers
from spark_jobs.spec import EvaluateOutcome


class GateDecision(Spec):
    """gate.json of a run; `reason` is one sentence for a person."""

    passed: bool
    reason: str
    numbers: GateNumbers


def decide_gate(evaluate: EvaluateOutcome, *, min_accuracy: float, deploy: bool) -> GateDecision:
    """Floor first, then the champion on the same test side; a tie lets the newer one in."""
    champion = evaluate.champion
    numbers = GateNumbers(
        accuracy=evaluate.accuracy,
        min_accuracy=min_accuracy,
        champion_version=champion.version,
        champion_accuracy=champion.accuracy,
    )
    seen = f"accuracy {evaluate.accuracy:.4f} on {evaluate.test_samples} test samples"
    if evaluate.accuracy < min_accuracy:
        passed, reason = False, f"{seen} is below the floor of {min_accuracy:.4f} (min_accuracy)."
    elif champion.accuracy is not None and evaluate.accuracy < champion.accuracy:
        passed = False
        reason = (
            f"{seen} is below the champion's (version {champion.version}) {champion.accuracy:.4f} "
            "on the same samples."
        )
    elif not deploy:
        passed, reason = False, f"{seen} is enough, but the form says: do not put in service."
    elif champion.accuracy is None:
        passed = True
        reason = f"{seen} reaches the floor of {min_accuracy:.4f}; no champion to beat."
    else:
        passed = True
        reason = (
            f"{seen} reaches the floor of {min_accuracy:.4f} and the champion's "
            f"(version {champion.version}) {champion.accuracy:.4f}."
        )
    return GateDecision(passed=passed, reason=reason[0].upper() + reason[1:], numbers=numbers)
