"""The task that does what a person decided about a deployment."""

from typing import TYPE_CHECKING, Any

from pipelines.commands import Command, python_command
from pipelines.context import Installation
from pipelines.form import read_form
from pipelines.publish_request import PublishRequest, publish_spec
from pipelines.steps import Surroundings
from pipelines.tasks.base import actor_of, run_files
from pipelines.tasks.jobs import ProcessOperator
from serving.job.spec import JobSpec
from serving.spec import PublishOutcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class PublishOperator(ProcessOperator):
    """Promote, freeze, roll back, release or pin."""

    outcome_model = PublishOutcome

    def __init__(self, **options: Any) -> None:
        options.setdefault("doc_md", "Changes the desired state, and makes it true.")
        super().__init__(**options)

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """From the form; a retry is the same request, and does nothing twice."""
        request = read_form(PublishRequest, dict(context["params"]))
        run_id = run_files(context, installation).run_id
        actor = actor_of(context)
        return publish_spec(request, request_id=run_id, actor=actor, output_uri=output_uri)

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        """serving.main in one process."""
        return python_command(around.installation.layout, "serving.main", spec)
