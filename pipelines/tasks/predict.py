"""The task that answers a folder or a dataset on HDFS."""

from typing import TYPE_CHECKING, Any

from pipelines.catalogue import check_dataset, read_deployment
from pipelines.commands import Command
from pipelines.context import Installation
from pipelines.form import read_form
from pipelines.predict_request import PredictRequest, predict_spec
from pipelines.steps import HEAVY_POOL, Surroundings, submit_spark
from pipelines.tasks.base import run_files
from pipelines.tasks.jobs import ProcessOperator
from serving.job.spec import JobSpec
from spark_jobs.predict_spec import PredictOutcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class PredictOperator(ProcessOperator):
    """A version's bundle on every picture, in Spark."""

    outcome_model = PredictOutcome

    def __init__(self, **options: Any) -> None:
        options.setdefault("pool", HEAVY_POOL)
        options.setdefault("doc_md", "A row a picture, as Parquet; nothing ends at one's fault.")
        super().__init__(**options)

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """From the form; a retry is the same request."""
        request = read_form(PredictRequest, dict(context["params"]))
        read_deployment(request.deployment)
        if request.dataset:
            check_dataset(request.dataset)
        run_id = run_files(context, installation).run_id
        return predict_spec(request, installation.artifacts, run_id=run_id, output_uri=output_uri)

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        """By Spark."""
        return submit_spark(spec, around)
