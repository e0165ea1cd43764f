"""The task that puts a model in service, where nobody has frozen the deployment meanwhile."""

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from pipelines.context import Installation
from pipelines.gate.audit import record_refusal
from pipelines.gate.decision import note_frozen
from pipelines.gate.files import read_decision
from pipelines.results import REASON_KEY
from pipelines.tasks.base import run_files
from pipelines.tasks.jobs import JobOperator
from serving.job.errors import UserError
from serving.job.freezing import explain_freeze
from serving.job.mongo import use_database

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeployOperator(JobOperator):
    """The deployment; skipped, so that the run ends green, where it was frozen after the gate."""

    def work(self, context: "Context", installation: Installation) -> dict[str, Any]:
        """Deploy; what the job refuses of a frozen deployment is no failure."""
        try:
            return super().work(context, installation)
        except UserError as error:
            files = run_files(context, installation)
            plan = files.plan()
            with use_database() as database:
                explained = explain_freeze(database, plan.request.served_as)
            if not explained:
                raise
            # The job says the same, unless it was at work when the deployment was frozen.
            reason = explained if str(error) == explained else f"{explained} {error}"
            self.log.warning("%s", reason)
            decision = note_frozen(read_decision(files), reason)
            record_refusal(plan.request.served_as, files.run_id, decision, who=plan.actor)
            context["ti"].xcom_push(key=REASON_KEY, value=reason)
            raise AirflowSkipException(reason) from None
