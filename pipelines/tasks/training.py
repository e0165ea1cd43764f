"""The task train: on this machine, or on several; what others have trained is taken over."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pipelines.context import Installation
from pipelines.nodes.watch import Watch
from pipelines.pages import locate_airflow_run, locate_mlflow_run
from pipelines.steps import Surroundings, find_first_place, make_call
from pipelines.tasks.jobs import JobOperator
from pipelines.tasks.links import MlflowLink
from pipelines.unchanged import find_trained, remember_trained
from serving.job.spec import JobSpec, Spec
from training.spec import TrainSpec

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainOperator(JobOperator):
    """The training; links to its run in MLflow."""

    operator_extra_links = (MlflowLink(),)

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """With the address of this run's page, to which the run in MLflow links."""
        spec, run = super().bind(context, installation, output_uri), context["dag_run"]
        address = installation.settings.airflow_address
        found = locate_airflow_run(address, run.dag_id, run.run_id)
        return spec.model_copy(update={"run_address": found})

    def locate(self, outcome: Spec, installation: Installation, run_id: str) -> str:  # noqa: ARG002 - as the base has it
        """The run's page in MLflow."""
        address = installation.settings.mlflow_address
        return locate_mlflow_run(address, str(getattr(outcome, "mlflow_run_id", "")))

    def accompany(
        self, spec: JobSpec, around: Surroundings
    ) -> AbstractContextManager[Watch | None]:
        """A watch over the other machines, where there are any."""
        if not isinstance(spec, TrainSpec):
            return nullcontext()
        place = find_first_place(spec, around.installation)
        if place is None:
            return nullcontext()
        call = make_call(spec, around)
        return Watch(call, place.master, end=self.on_kill, say=self.log.info)

    def find_finished(self, spec: JobSpec, installation: Installation) -> Spec | None:
        """Of an earlier run on the same data with the same settings."""
        if not isinstance(spec, TrainSpec):
            return None
        address = installation.settings.mlflow_address
        found = find_trained(installation.artifacts, spec, address)
        if found is not None:
            self.log.info(
                "Data and settings are those of run %s: its model is taken, nothing is trained. "
                "Another seed, or clearing this task, trains anew.",
                found.reused_from,
            )
        return found

    def remember(self, spec: JobSpec, installation: Installation) -> None:
        """For later runs on the same data with the same settings."""
        if isinstance(spec, TrainSpec):
            remember_trained(installation.artifacts, spec)
