"""./modelmill import."""

import sys
import uuid
from pathlib import Path

import click

from pipelines.command_line.output import emit_json, json_option, read_flags, use_installation
from pipelines.commands import python_command
from pipelines.context import Installation
from pipelines.form import add_options
from pipelines.plan import import_spec
from pipelines.planning import resolve_import
from pipelines.request import ImportRequest
from pipelines.run_job import run_job_here
from serving.job import store
from serving.job.spec import OUTCOME_FILE
from spark_jobs.spec import ImportOutcome

# How many names a person is shown; --json has them all.
SHOWN = 10


@click.command(name="import")
@click.argument("path")
@add_options(ImportRequest, without=frozenset({"source"}))
@json_option
def import_(path: str, as_json: bool, **values: object) -> None:
    """Bring the pictures below PATH into a dataset: one sub-folder per class.

    With train/, val/ and test/ above the classes that split is kept. PATH is a folder or
    hdfs://HOST:PORT/PATH. The same pictures again change nothing.
    """
    source = path if "://" in path else str(Path(path).expanduser().absolute())
    request = read_flags(ImportRequest, {**values, "source": source})
    outcome = import_here(request, use_installation())
    if as_json:
        emit_json(outcome)
    else:
        show_outcome(outcome)


def import_here(request: ImportRequest, installation: Installation) -> ImportOutcome:
    """Import on this machine; progress goes to standard error. Raises UserError."""
    anywhere = (Path("/"),)
    spec = import_spec(
        request,
        installation.artifacts,
        # Who may type a command here may read these files anyway: the roots guard the form.
        source_uri=resolve_import(request.source, anywhere),
        actor="command line",
        output_uri=f"{installation.artifacts.root}/imports/{uuid.uuid4().hex}",
    )
    environment = installation.job_environment({"MODELMILL_IMPORT_ROOTS": str(anywhere[0])})
    command = python_command(installation.layout, "spark_jobs.main", spec)
    run_job_here(command, spec, environment, sys.stderr)
    return store.read_model(store.join(spec.output_uri, OUTCOME_FILE), ImportOutcome)


def show_outcome(outcome: ImportOutcome) -> None:
    """What was read and what became of it."""
    click.echo(
        f"Dataset {outcome.dataset}: read {outcome.read}, added {outcome.added}, already there "
        f"{outcome.already_there}, conflicts {outcome.conflicts}, rejected {len(outcome.rejected)}"
    )
    for label, count in outcome.added_per_class.items():
        click.echo(f"  {count:6}  {label}")
    for name in outcome.conflicting[:SHOWN]:
        click.echo(f"  conflict: {name} is there under another label; it is left out for now")
    for rejection in outcome.rejected[:SHOWN]:
        click.echo(f"  rejected: {rejection.name}: {rejection.reason}")
    hidden = len(outcome.conflicting[SHOWN:]) + len(outcome.rejected[SHOWN:])
    if hidden:
        click.echo(f"  … and {hidden} more: --json lists them all")
