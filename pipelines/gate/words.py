"""The gate's sentences about two models. Pure."""

from pipelines.gate.comparison import Comparison
from serving.bundle.manifest import SEVERAL
from spark_jobs.spec import EvaluateOutcome


def name_accuracy(evaluate: EvaluateOutcome) -> str:
    """What it means where a sample may have several labels stands beside it."""
    return "Accuracy (all labels right)" if evaluate.task == SEVERAL else "Accuracy"


def describe_comparison(
    comparison: Comparison, evaluate: EvaluateOutcome, max_loss: float, called: str = "champion"
) -> str:
    """How the challenger stands against the champion, and what this test side can tell.

    called: champion or reference.
    """
    champion = (called == "reference" and evaluate.reference) or evaluate.champion
    named = f"the {called}'s (version {champion.version})"
    if comparison.accuracy is None:
        return f"No test sample is left on which {named} work could be compared."
    own, other = show_apart(comparison.accuracy, comparison.champion_accuracy)
    relation = "reaches" if comparison.standing == "no_worse" else "is below"
    said = (
        f"{name_accuracy(evaluate)} {own} on {comparison.samples} test samples {relation} "
        f"{named} {other} on the same samples"
    )
    if comparison.challenger_only is None:
        return f"{said}."
    said += (
        f": the new one alone is right on {comparison.challenger_only}, the old one alone on "
        f"{comparison.champion_only}."
    )
    verdicts = {
        "no_worse": "",
        "worse": f" It is clearly worse: {_say_chance(comparison)}.",
        "nearly_as_good": (
            f" With 95 % certainty it is not worse by more than {max_loss:.4g} (max_loss)."
        ),
        "unsure": f" That may be chance: {_say_chance(comparison)}. {_say_tellable(comparison)}",
    }
    return said + verdicts[comparison.standing]


def _say_chance(comparison: Comparison) -> str:
    chance = 100 * (comparison.chance or 0.0)
    shown = "fewer than 1" if chance < 1 else f"{chance:.0f}"
    return f"two equally good models would differ so in {shown} of 100 cases"


def _say_tellable(comparison: Comparison) -> str:
    tellable = comparison.tellable
    if tellable is None or tellable > 1:
        return f"{comparison.samples} samples are too few to show any loss."
    return f"{comparison.samples} samples show a loss only from {tellable:.4f} on."


def describe_reference(evaluate: EvaluateOutcome) -> str:
    """What is to be known of the reference, beside the comparison; each a sentence."""
    reference = evaluate.reference
    if reference is None:
        return ""
    note = reference.note.rstrip(".")
    said = f" {note}." if note else ""
    if reference.paired is None or not reference.paired.samples:
        said += (
            f" So nothing was compared with the reference (version {reference.version}); "
            "./modelmill pin names another."
        )
    elif reference.leaked:
        said += (
            f" {reference.leaked} test samples, or copies of them, were learned from by the "
            "reference, and are not part of that comparison."
        )
    return said


def describe_limits(evaluate: EvaluateOutcome) -> str:
    """What the comparison leaves out, and why; each a sentence."""
    note = evaluate.champion.note.rstrip(".")
    said = f" {note}." if note else ""
    if evaluate.leaked_copies:
        said += (
            f" {evaluate.leaked_copies} test samples are copies of ones that the model learned "
            "from, and not part of the comparison."
        )
    if evaluate.champion.leaked:
        said += (
            f" {evaluate.champion.leaked} test samples, or copies of them, were learned from by "
            "the champion, and are not part of the comparison."
        )
    return said


def show_apart(*numbers: float | None, least: int = 4) -> list[str]:
    """`least` digits, and more where two numbers that differ would look alike."""
    different = {number for number in numbers if number is not None}
    for digits in range(least, 17):
        if len({f"{number:.{digits}f}" for number in different}) == len(different):
            break
    return ["" if number is None else f"{number:.{digits}f}" for number in numbers]
