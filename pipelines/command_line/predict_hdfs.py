"""./modelmill predict hdfs://…: a run of the DAG modelmill_predict."""

import click

from pipelines.command_line.follow import follow_run
from pipelines.command_line.output import emit_json, read_flags
from pipelines.command_line.runs import use_airflow
from pipelines.context import Installation, RunFiles
from pipelines.predict_request import PREDICT_DAG, PREDICT_TASK, PredictRequest
from pipelines.results import REASON_KEY
from serving.job.errors import UserError
from spark_jobs.predict_spec import PredictOutcome


def predict_by_airflow(installation: Installation, *, as_json: bool, **values: object) -> None:
    """Start the run and wait for it; progress goes to standard error."""
    request = read_flags(PredictRequest, values)
    with use_airflow(installation) as api:
        run, _ = follow_run(api, api.trigger(PREDICT_DAG, request.model_dump(mode="json")))
        files = RunFiles(artifacts=installation.artifacts, run_id=run.run_id)
        outcome = files.find(PREDICT_TASK, PredictOutcome)
        if outcome is None or run.state == "failed":
            reason = api.read_xcom(run, PREDICT_TASK, REASON_KEY)
            raise UserError(str(reason or "It failed: see the end of its log in Airflow."))
    if as_json:
        emit_json(outcome)
    else:
        rate = outcome.files / max(outcome.seconds, 1e-9)
        low = f", of these {outcome.declined} declined" if outcome.declined else ""
        click.echo(
            f"{outcome.predicted} predicted{low}, {outcome.failed} failed, {rate:.1f} img/s, by "
            f"{outcome.deployment} version {outcome.version}: {outcome.target_uri}"
        )
