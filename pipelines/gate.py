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
    shown = _show_apart(evaluate.accuracy, min_accuracy, champion.accuracy)
    seen = f"accuracy {shown[0]} on {evaluate.test_samples} test samples"
    good_enough = True
    if evaluate.accuracy < min_accuracy:
        good_enough = False
        reason = f"{seen} is below the floor of {shown[1]} (min_accuracy)."
    elif champion.accuracy is not None and evaluate.accuracy < champion.accuracy:
        good_enough = False
        reason = (
            f"{seen} is below the champion's (version {champion.version}) {shown[2]} "
            "on the same samples."
        )
    elif not deploy:
        reason = f"{seen} is enough, but the form says: do not put in service."
    elif champion.accuracy is None:
        reason = f"{seen} reaches the floor of {shown[1]}; no champion to beat."
    else:
        reason = (
            f"{seen} reaches the floor of {shown[1]} and the champion's "
            f"(version {champion.version}) {shown[2]}."
        )
    return GateDecision(
        passed=good_enough and deploy,
        good_enough=good_enough,
        reason=reason[0].upper() + reason[1:],
        numbers=numbers,
    )


def _show_apart(*numbers: float | None) -> list[str]:
    """Four digits, and more where two numbers that differ would look alike."""
    different = {number for number in numbers if number is not None}
    for digits in range(4, 17):
        if len({f"{number:.{digits}f}" for number in different}) == len(different):
            break
    return ["" if number is None else f"{number:.{digits}f}" for number in numbers]
