"""May a challenger take the champion's place? Pure."""

from serving.job.spec import Spec
from serving.spec import GateNumbers
from spark_jobs.spec import EvaluateOutcome


class GateDecision(Spec):
    """gate.json of a run; `reason` is one sentence for a person.

    good_enough: floor and champion are met. passed: and the form asks for a deployment.
    """

    passed: bool
    good_enough: bool
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
    good_enough = True
    if evaluate.accuracy < min_accuracy:
        good_enough = False
        reason = f"{seen} is below the floor of {min_accuracy:.4f} (min_accuracy)."
    elif champion.accuracy is not None and evaluate.accuracy < champion.accuracy:
        good_enough = False
        reason = (
            f"{seen} is below the champion's (version {champion.version}) {champion.accuracy:.4f} "
            "on the same samples."
        )
    elif not deploy:
        reason = f"{seen} is enough, but the form says: do not put in service."
    elif champion.accuracy is None:
        reason = f"{seen} reaches the floor of {min_accuracy:.4f}; no champion to beat."
    else:
        reason = (
            f"{seen} reaches the floor of {min_accuracy:.4f} and the champion's "
            f"(version {champion.version}) {champion.accuracy:.4f}."
        )
    return GateDecision(
        passed=good_enough and deploy,
        good_enough=good_enough,
        reason=reason[0].upper() + reason[1:],
        numbers=numbers,
    )
