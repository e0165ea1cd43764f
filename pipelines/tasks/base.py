"""What every operator shares: run folder, retries, and sentences instead of stack traces."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule

from pipelines.artifacts import make_run_id
from pipelines.context import Installation, RunFiles, publish_addresses, read_installation
from pipelines.devices import DeviceError
from pipelines.form import FormError
from pipelines.local.stores import wait_for_stores
from pipelines.results import REASON_KEY
from serving.job.errors import UserError

if TYPE_CHECKING:
    from airflow.sdk import Context

RETRIES = 2


class UserErrorExit(SystemExit):
    """Ends a task with a sentence, and without the stack trace that Airflow adds to exceptions."""


# A user's error is not tried again; every other failure is.
_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=UserErrorExit,
            action=RetryAction.FAIL,
            reason="The sentence above says what to mend; trying again would not help.",
        )
    ]
)
_MENDABLE = (UserError, FormError, DeviceError)


def open_installation() -> Installation:
    """The installation that a task works in, once its stores answer: they may be starting, too."""
    installation = read_installation()
    publish_addresses(installation)
    wait_for_stores(installation.settings, installation.layout)
    return installation


class Operator(BaseOperator):
    """A task of ours."""

    def __init__(self, **options: Any) -> None:
        options["retries"] = RETRIES
        options.setdefault("retry_delay", timedelta(seconds=5))
        options.setdefault("retry_policy", _POLICY)
        super().__init__(**options)

    def execute(self, context: "Context") -> Any:
        """Do the work; what a person can mend ends the task at once with its sentence."""
        installation = open_installation()
        try:
            return self.work(context, installation)
        except _MENDABLE as error:
            end_with_reason(self, context, str(error), UserErrorExit)

    def work(self, context: "Context", installation: Installation) -> Any:
        """What this operator does."""
        raise NotImplementedError


def end_with_reason(
    operator: Operator, context: "Context", reason: str, ending: type[SystemExit]
) -> NoReturn:
    """Say why, as the last line of the log and where the command line finds it, and end."""
    operator.log.error("%s", reason)
    context["ti"].xcom_push(key=REASON_KEY, value=reason)
    raise ending(reason) from None


def run_files(context: "Context", installation: Installation) -> RunFiles:
    """The folder of this DAG run: the same for every task, retry and clear."""
    run = context["dag_run"]
    run_id = make_run_id(run.dag_id, run.run_id, run.run_after)
    return RunFiles(artifacts=installation.artifacts, run_id=run_id)


def actor_of(context: "Context") -> str:
    """Who asked for this run."""
    return context["dag_run"].triggering_user_name or "schedule"
