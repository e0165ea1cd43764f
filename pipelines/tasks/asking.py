"""The task that asks a person where the gate cannot tell."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from pipelines.context import Installation
from pipelines.gate.answer import ANSWER_HOURS, Answer, settle
from pipelines.gate.audit import record_refusal
from pipelines.gate.files import read_question, write_answer
from pipelines.gate.question import write_question
from pipelines.pages import locate_report
from pipelines.tasks.base import Operator, open_installation, run_files
from spark_jobs.spec import EvaluateOutcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class AskOperator(Operator, ApprovalOperator):
    """Waits, without a process, until somebody approves or rejects; a no ends the run green."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            subject="Put the new model in service?",
            defaults=self.REJECT,
            response_timeout=timedelta(hours=ANSWER_HOURS),
            # Else the image would be built: it does not mind a task before it that was skipped.
            ignore_downstream_trigger_rules=True,
            **options,
        )

    def work(self, context: "Context", installation: Installation) -> Any:
        """Put the question, and wait."""
        files = run_files(context, installation)
        self.subject, self.body = write_question(
            read_question(files),
            files.read("evaluate", EvaluateOutcome),
            run_id=files.run_id,
            deployment=files.plan().request.served_as,
            report_uri=locate_report(installation.settings.console_address, files.run_id),
        )
        return ApprovalOperator.execute(self, context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """Write the answer down; a no skips all that follows."""
        installation = open_installation()
        files = run_files(context, installation)
        decision = read_question(files)
        by = event.get("responded_by_user") or {}
        answer = Answer(
            asked=decision.fingerprint(),
            approved=event.get("chosen_options") == [self.APPROVE],
            who=str(by.get("name") or by.get("id") or ""),
            at=event.get("responded_at") or datetime.now(UTC),
        )
        write_answer(files, answer)
        self.log.info("%s", answer.sentence)
        if not answer.approved:
            settled = settle(decision, answer)
            served_as = files.plan().request.served_as
            record_refusal(served_as, files.run_id, settled, who=answer.who or "nobody")
        return super().execute_complete(context, event)
