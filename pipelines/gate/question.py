"""What a person is asked, in Markdown. Pure."""

import re

from pipelines.gate.answer import ANSWER_HOURS
from pipelines.gate.decision import GateDecision
from pipelines.gate.words import name_accuracy
from spark_jobs.spec import EvaluateOutcome


def escape_markdown(text: str) -> str:
    """Class names may hold anything."""
    return re.sub(r"([\\`*_\[\]|<>&~])", r"\\\1", text.replace("\n", " "))


def write_question(
    decision: GateDecision,
    evaluate: EvaluateOutcome,
    *,
    run_id: str,
    deployment: str,
    report_uri: str,
) -> tuple[str, str]:
    """Subject and body: the decision, the numbers side by side, the report, and what follows."""
    champion = evaluate.champion
    stays = f"version {champion.version} stays"
    body = f"""\
{escape_markdown(decision.reason)}

| | new | in service (version {champion.version}) |
|---|---|---|
| {name_accuracy(evaluate).lower()} | {evaluate.accuracy:.4f} | {_show(champion.accuracy)} |
| macro-F1 | {evaluate.macro_f1:.4f} | {_show(champion.macro_f1)} |

{_describe_weakest(evaluate)}

[Report]({report_uri})

**Approve**: the new model takes over. **Reject**: {stays}; so it does after {ANSWER_HOURS} hours
without an answer. On the command line: `./modelmill approve {run_id}` or
`./modelmill reject {run_id}`.
"""
    return f"Put the new model in service as {deployment}?", body


def _show(number: float | None) -> str:
    return "" if number is None else f"{number:.4f}"


def _describe_weakest(evaluate: EvaluateOutcome) -> str:
    weakest = evaluate.weakest
    if weakest is None:
        return ""
    return (
        f"Weakest class: **{escape_markdown(weakest.label)}**, recall {weakest.recall:.4f} on "
        f"{weakest.support} test samples."
    )
