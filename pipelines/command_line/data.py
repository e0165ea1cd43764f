"""./modelmill import."""

import os
import sys
import uuid
from pathlib import Path

import click

from pipelines.command_line.follow import follow_run
from pipelines.command_line.output import emit_json, json_option, read_flags, use_installation
from pipelines.command_line.runs import use_airflow
from pipelines.commands import Command, SparkMaster, python_command
from pipelines.connections import ENVIRONMENT_PREFIX, read_mongo_variable
from pipelines.context import Installation, RunFiles
from pipelines.form import add_options
from pipelines.import_request import IMPORT_DAG, ImportRequest
from pipelines.plan import import_collection_spec, import_spec
from pipelines.planning import resolve_import
from pipelines.results import REASON_KEY
from pipelines.run_job import run_job_here
from pipelines.steps import Surroundings, submit_spark
from serving.bundle.manifest import SEVERAL
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import OUTCOME_FILE, JobSpec
from serving.job.text import printable
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, ImportOutcome

IMPORT_TASK = "import"
ACTOR = "command line"

# How many names a person is shown; --json has them all.
SHOWN = 10
SHOWN_CLASSES = 40


@click.command(name="import")
@click.argument("path", required=False)
@add_options(ImportRequest, without=frozenset({"source"}))
@json_option
def import_(path: str | None, as_json: bool, **values: object) -> None:
    """Bring the pictures at PATH, or of a MongoDB collection, into a dataset.

    PATH is a folder with one sub-folder per class (train/, val/ and test/ above them are kept), or
    a table of labels, CSV or JSON lines, or the folder that holds it beside its pictures; local,
    or hdfs://HOST:PORT/PATH. The same pictures again change nothing.

    A collection: --mongo-connection NAME is an Airflow connection, and the import runs there;
    --mongo-connection env:VARIABLE takes the address from an environment variable, and the import
    runs here. An address is never typed: a command line is seen by everyone on the machine.
    """
    source = path or ""
    if path and "://" not in path:
        source = str(Path(path).expanduser().absolute())
    request = read_flags(ImportRequest, {**values, "source": source})
    connection = request.mongo_connection
    installation = use_installation()
    if connection and not connection.startswith(ENVIRONMENT_PREFIX):
        outcome = import_by_airflow(request, installation)
    else:
        outcome = import_here(request, installation)
    if as_json:
        emit_json(outcome)
    else:
        show_outcome(outcome)


def import_here(request: ImportRequest, installation: Installation) -> ImportOutcome:
    """Import on this machine; progress goes to standard error. Raises UserError."""
    output_uri = f"{installation.artifacts.root}/imports/{uuid.uuid4().hex}"
    spec, command, secrets = bind_import(request, installation, output_uri)
    run_job_here(command, spec, installation.job_environment(secrets), sys.stderr)
    return store.read_model(store.join(output_uri, OUTCOME_FILE), ImportOutcome)


def bind_import(
    request: ImportRequest, installation: Installation, output_uri: str
) -> tuple[JobSpec, Command, dict[str, str]]:
    """The job's spec, what runs it, and its own environment variables."""
    artifacts = installation.artifacts
    if request.mongo_connection:
        secret = read_mongo_variable(request.mongo_connection, os.environ)
        collection = import_collection_spec(request, artifacts, actor=ACTOR, output_uri=output_uri)
        master = SparkMaster(master=installation.settings.spark_master)
        command = submit_spark(collection, Surroundings(installation, master, gpus=0))
        # Paths in documents are not typed by the person here: the import roots guard them.
        return collection, command, {SOURCE_MONGO_VARIABLE: secret}
    anywhere = Path("/")
    # Who may type a command here may read these files anyway: the roots guard the form.
    source_uri = resolve_import(request.source, (anywhere,))
    spec = import_spec(
        request, artifacts, source_uri=source_uri, actor=ACTOR, output_uri=output_uri
    )
    command = python_command(installation.layout, "spark_jobs.main", spec)
    return spec, command, {"MODELMILL_IMPORT_ROOTS": str(anywhere)}


def import_by_airflow(request: ImportRequest, installation: Installation) -> ImportOutcome:
    """Import in a run of the DAG: Airflow alone knows its connections. Raises UserError."""
    with use_airflow(installation) as api:
        run, _ = follow_run(api, api.trigger(IMPORT_DAG, request.model_dump(mode="json")))
        files = RunFiles(artifacts=installation.artifacts, run_id=run.run_id)
        outcome = files.find(IMPORT_TASK, ImportOutcome)
        if outcome is None or run.state == "failed":
            reason = api.read_xcom(run, IMPORT_TASK, REASON_KEY)
            raise UserError(str(reason or "The import failed: see the end of its log in Airflow."))
    return outcome


def show_outcome(outcome: ImportOutcome) -> None:
    """What was read and what became of it."""
    click.echo(
        f"Dataset {outcome.dataset}: read {outcome.read}, added {outcome.added}, already there "
        f"{outcome.already_there}, conflicts {outcome.conflicts}, rejected {len(outcome.rejected)}"
    )
    for note in outcome.notes:
        click.echo(f"  {note}")
    if outcome.task == SEVERAL and outcome.added_per_class:
        click.echo("  A sample counts under each of its labels:")
    classes = list(outcome.added_per_class.items())
    for label, count in classes[:SHOWN_CLASSES]:
        click.echo(f"  {count:6}  {printable(label)}")
    if classes[SHOWN_CLASSES:]:
        rest = sum(count for _, count in classes[SHOWN_CLASSES:])
        click.echo(f"  {rest:6}  in {len(classes) - SHOWN_CLASSES:,} more classes")
    for name in outcome.conflicting[:SHOWN]:
        told = printable(name)
        click.echo(f"  conflict: {told} is there under another label; it is left out for now")
    for rejection in outcome.rejected[:SHOWN]:
        click.echo(f"  rejected: {printable(rejection.name)}: {rejection.reason}")
    hidden = len(outcome.conflicting[SHOWN:]) + len(outcome.rejected[SHOWN:])
    if hidden:
        click.echo(f"  … and {hidden} more: --json lists them all")
