"""May a challenger take the champion's place? Pure."""

from typing import Literal

from pipelines.gate.comparison import Comparison, compare_models, compare_reference
from pipelines.gate.rules import ModelCost, find_misses
from pipelines.gate.words import (
    describe_comparison,
    describe_limits,
    describe_reference,
    name_accuracy,
    show_apart,
)
from pipelines.request import RunRequest
from serving.job.spec import Spec
from serving.spec import GateNumbers
from spark_jobs.spec import Champion, EvaluateOutcome

Verdict = Literal["let_in", "stop", "ask"]


class GateDecision(Spec):
    """gate.json of a run; `reason` is one sentence, or a few, for a person.

    good_enough: every floor, limit and the champion are met. passed: and the form asks for a
    deployment. asks: neither yet, for a person decides.
    """

    passed: bool
    good_enough: bool
    reason: str
    numbers: GateNumbers
    asks: bool = False


def decide_gate(
    evaluate: EvaluateOutcome, request: RunRequest, cost: ModelCost | None = None
) -> GateDecision:
    """Floors and limits first, then the champion on the same test side, then the reference.

    cost: of the chosen model; None where the training did not note it.
    """
    misses = find_misses(evaluate, request, cost)
    comparison = compare_models(
        evaluate.accuracy, evaluate.test_samples, evaluate.champion, request.max_loss
    )
    held_to = compare_reference(evaluate, request.max_loss)
    if misses:
        verdict: Verdict = "stop"
        reason = " ".join(misses)
    else:
        verdict, reason = _judge(evaluate, comparison, request)
        if held_to is not None and verdict != "stop":
            verdict, reason = _hold_to(verdict, reason, evaluate, held_to, request)
    reason += describe_limits(evaluate) + describe_reference(evaluate)
    if verdict == "let_in" and not request.deploy:
        reason += " It is good enough, but the form says: do not put in service."
    if verdict == "ask" and not request.deploy:
        verdict = "stop"
        reason += " Nobody is asked, for the form says: do not put in service."
    return GateDecision(
        passed=verdict == "let_in" and request.deploy,
        good_enough=verdict == "let_in",
        asks=verdict == "ask",
        reason=reason,
        numbers=_collect(evaluate, request, cost, comparison).model_copy(
            update=_collect_reference(evaluate, held_to)
        ),
    )


def note_frozen(decision: GateDecision, explained: str) -> GateDecision:
    """A decision whose deployment lets nothing in; explained: who froze it, empty: nobody did.

    Nobody is asked either: an answer would change nothing.
    """
    if not explained or not (decision.passed or decision.asks):
        return decision
    update = {"passed": False, "asks": False, "reason": f"{decision.reason} {explained}"}
    return decision.model_copy(update=update)


def _judge(
    evaluate: EvaluateOutcome, comparison: Comparison, request: RunRequest
) -> tuple[Verdict, str]:
    """What a model that meets every floor and limit has left: the champion."""
    champion = evaluate.champion
    if comparison.standing in ("alone", "other_task"):
        accuracy, floor = show_apart(evaluate.accuracy, request.min_accuracy)
        said = (
            f"{name_accuracy(evaluate)} {accuracy} on {evaluate.test_samples} test samples reaches "
            f"the floor of {floor}; {_say_alone(champion)}."
        )
        return _leave_open(said, request) if champion.other_task else ("let_in", said)
    said = describe_comparison(comparison, evaluate, request.max_loss)
    if comparison.standing == "worse":
        return "stop", said
    if comparison.standing != "unsure":
        return "let_in", said
    return _leave_open(said, request)


def _leave_open(said: str, request: RunRequest) -> tuple[Verdict, str]:
    """What the form says of what the samples cannot tell."""
    if request.on_unsure == "promote":
        return "let_in", f"{said} The form says to take the new one then (on_unsure: promote)."
    if request.on_unsure == "keep":
        return "stop", f"{said} The form says to keep the old one then (on_unsure: keep)."
    return "ask", f"{said} A person decides (on_unsure: ask)."


def _hold_to(
    verdict: Verdict,
    reason: str,
    evaluate: EvaluateOutcome,
    comparison: Comparison,
    request: RunRequest,
) -> tuple[Verdict, str]:
    """What the champion lets in, or leaves open, must be no worse than the reference, too."""
    if evaluate.reference is None:
        return verdict, reason
    said = describe_comparison(comparison, evaluate, request.max_loss, "reference")
    if comparison.standing == "worse":
        return "stop", f"{reason} {said}"
    if comparison.standing != "unsure":
        return verdict, f"{reason} {said}"
    open_verdict, said = _leave_open(said, request)
    return verdict if open_verdict == "let_in" else open_verdict, f"{reason} {said}"


def _collect_reference(
    evaluate: EvaluateOutcome, comparison: Comparison | None
) -> dict[str, int | float | str | None]:
    reference = evaluate.reference
    if reference is None:
        return {}
    found: dict[str, int | float | str | None] = {
        "reference_version": reference.version,
        "reference_accuracy": reference.accuracy,
        "reference_leaked": reference.leaked,
        "reference_other_task": reference.other_task,
    }
    if comparison is None:
        return found
    return found | {
        "reference_standing": comparison.standing,
        "reference_samples": comparison.samples,
        "reference_challenger_only": comparison.challenger_only,
        "reference_only": comparison.champion_only,
        "reference_chance": comparison.chance,
        "reference_worst_difference": comparison.worst,
    }


def _say_alone(champion: Champion) -> str:
    if champion.version is None:
        return "no champion to beat"
    if champion.other_task:
        return (
            f"the champion (version {champion.version}) is of another kind, so who asks this "
            "deployment would get another kind of answers"
        )
    return (
        f"the champion (version {champion.version}) could not be scored, so there is none to beat"
    )


def _collect(
    evaluate: EvaluateOutcome,
    request: RunRequest,
    cost: ModelCost | None,
    comparison: Comparison,
) -> GateNumbers:
    """Everything that was looked at, for the audit."""
    champion = evaluate.champion
    weakest = evaluate.weakest
    return GateNumbers(
        accuracy=evaluate.accuracy,
        min_accuracy=request.min_accuracy,
        champion_version=champion.version,
        champion_accuracy=champion.accuracy,
        macro_f1=evaluate.macro_f1,
        min_macro_f1=request.min_macro_f1,
        weakest_class=weakest and weakest.label,
        weakest_recall=weakest and weakest.recall,
        min_class_recall=request.min_class_recall,
        latency_ms=cost and cost.latency_ms,
        max_latency_ms=request.max_latency_ms,
        model_mb=cost and cost.model_mb,
        max_model_mb=request.max_model_mb,
        test_samples=evaluate.test_samples,
        leaked=evaluate.leaked,
        leaked_copies=evaluate.leaked_copies,
        champion_leaked=champion.leaked,
        compared_samples=comparison.samples,
        standing=comparison.standing,
        challenger_only=comparison.challenger_only,
        champion_only=comparison.champion_only,
        chance=comparison.chance,
        worst_difference=comparison.worst,
        max_loss=request.max_loss,
        tellable=comparison.tellable,
        on_unsure=request.on_unsure,
    )
