"""./modelmill train, runs and report."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from click.core import ParameterSource
from pydantic import BaseModel, ConfigDict

from pipelines.airflow_api import AirflowApi, DagRun, TaskRun, open_airflow
from pipelines.catalogue import check_dataset
from pipelines.command_line.follow import follow_run
from pipelines.command_line.output import emit_json, json_option, read_flags, use_installation
from pipelines.context import Installation, RunFiles
from pipelines.form import add_options, name_flag
from pipelines.gate.answer import ANSWER_HOURS
from pipelines.local.configuration import ADMIN, read_admin_password
from pipelines.pages import locate_airflow_run
from pipelines.replay import replay_run
from pipelines.request import RunRequest
from pipelines.results import RunResult, describe_run
from pipelines.snapshots import check_snapshot
from pipelines.steps import EVALUATE
from serving.bundle.manifest import SEVERAL
from serving.job import store
from serving.job.errors import UserError
from spark_jobs.spec import EvaluateOutcome

TRAIN_DAG = "modelmill_train"
PREFIXES = (TRAIN_DAG, "modelmill_nightly__")
EXIT_CODES = {
    "success": 0,
    "running": 0,
    "failed": 1,
    "stopped_by_gate": 3,
    "waits_for_answer": 4,
}


@contextmanager
def use_airflow(installation: Installation) -> Iterator[AirflowApi]:
    """Signed in as the installation's own user."""
    try:
        password = read_admin_password(installation.layout)
    except FileNotFoundError:
        raise UserError("Nothing is set up here yet. Start it: ./modelmill up") from None
    with open_airflow(installation.settings, ADMIN, password) as api:
        yield api


@click.command()
@click.option("--dataset", help="Name under which the pictures were imported.  [required]")
@add_options(RunRequest, without=frozenset({"dataset"}))
@click.option("--wait", is_flag=True, help="Show progress, and end when the run has ended.")
@click.option(
    "--replay",
    metavar="RUN",
    help="Instead of a run: train the model of RUN once more, as it was trained, and compare.",
)
@json_option
def train(
    wait: bool, as_json: bool, replay: str | None, dataset: str | None, **values: object
) -> None:
    """Train on a dataset, and put the model in service if it is good enough.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 trained but stopped by the gate, 4 trained, and
    waits until a person approves or rejects. With --replay: 0 the same
    weights, 1 others.
    """
    if replay is not None:
        _refuse_fields({"dataset": dataset, "wait": wait, **values})
        sys.exit(show_replay(replay, as_json=as_json))
    if dataset is None:
        raise click.MissingParameter(param_hint="'--dataset'", param_type="option")
    request = read_flags(RunRequest, {"dataset": dataset, **values})
    installation = use_installation()
    with use_airflow(installation) as api:
        result = run_training(api, request, installation, wait=wait)
    if as_json:
        emit_json(result)
    else:
        show_result(result)
    sys.exit(EXIT_CODES[result.state])


def _refuse_fields(values: Mapping[str, object]) -> None:
    context = click.get_current_context()
    given = [
        name_flag(name)
        for name in values
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(
            f"--replay takes everything from the run; {', '.join(given)} cannot change that."
        )


def show_replay(run_id: str, *, as_json: bool) -> int:
    """Replay a run, say what came out, and return the exit code."""
    result = replay_run(use_installation(), run_id, sys.stderr)
    if as_json:
        emit_json(result)
        return 0 if result.same else 1
    then = "; ".join(result.differences) or "nothing that was noted"
    if result.same:
        click.echo(f"Run {result.run_id}: the same weights, bit for bit ({result.weights_sha256})")
    else:
        click.echo(f"Run {result.run_id}: OTHER weights ({result.weights_sha256})")
    click.echo(f"  different from then: {then}")
    return 0 if result.same else 1


def run_training(
    api: AirflowApi, request: RunRequest, installation: Installation, *, wait: bool
) -> RunResult:
    """Trigger the DAG; where asked to wait, show progress and return what came of it."""
    check_dataset(request.dataset)
    if request.snapshot:
        check_snapshot(request.dataset, request.snapshot)
    run = api.trigger(TRAIN_DAG, request.model_dump(mode="json"))
    address = installation.settings.airflow_address
    page = locate_airflow_run(address, run.dag_id, run.dag_run_id)
    click.echo(f"Run {run.run_id} has started: {page}", err=True)
    tasks: list[TaskRun] = []
    if wait:
        try:
            run, tasks = follow_run(api, run)
        except KeyboardInterrupt:
            more = f"./modelmill cancel {run.run_id} ends it"
            click.echo(f"The run goes on: ./modelmill runs shows how far it is, {more}.", err=True)
            raise
    return describe_run(api, run, tasks, installation)


def show_result(result: RunResult) -> None:
    """The result in a few lines."""
    words = {
        "success": "done",
        "stopped_by_gate": "trained, but stopped by the gate",
        "waits_for_answer": "trained, and waits for your answer",
    }
    click.echo(f"Run {result.run_id}: {words.get(result.state, result.state)}")
    if result.reason:
        click.echo(f"  {result.reason}")
    if result.accuracy is not None:
        title = "all labels right" if result.task == SEVERAL else "accuracy"
        click.echo(
            f"  {title} {result.accuracy:.4f}, macro-F1 {result.macro_f1:.4f} "
            f"on {result.test_samples} test samples"
        )
    if result.seconds_per_task:
        each = ", ".join(f"{name} {s:.0f}" for name, s in result.seconds_per_task.items())
        whole = f" ({result.seconds:.0f} in all)" if result.seconds else ""
        click.echo(f"  seconds: {each}{whole}")
    if result.question_uri:
        silence = f"{ANSWER_HOURS} hours of silence"
        click.echo(f"  approve ./modelmill approve {result.run_id}, or {result.question_uri}")
        click.echo(f"  reject  ./modelmill reject {result.run_id}, or {silence}")
    for title, value in (("report", result.report_uri), ("API", result.endpoint)):
        if value:
            click.echo(f"  {title:<7} {value}")
    click.echo(f"  Airflow {result.airflow_uri}")


class RunList(BaseModel):
    """What `runs` shows."""

    model_config = ConfigDict(frozen=True)

    runs: tuple[RunResult, ...]


@click.command()
@click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(1, 100),
    help="How many runs to show.",
)
@json_option
def runs(limit: int, as_json: bool) -> None:
    """List the latest training runs, newest first."""
    installation = use_installation()
    with use_airflow(installation) as api:
        found = _list_runs(api, limit)
        results = tuple(describe_run(api, run, api.list_tasks(run), installation) for run in found)
    if as_json:
        emit_json(RunList(runs=results))
        return
    if not results:
        click.echo("No run yet. Start one: ./modelmill train --dataset NAME")
    for run, result in zip(found, results, strict=True):
        accuracy = "      " if result.accuracy is None else f"{result.accuracy:.4f}"
        seconds = f"{result.seconds:5.0f} s" if result.seconds is not None else "      -"
        title = run.dag_id.removeprefix("modelmill_")
        dataset = (run.conf or {}).get("dataset", "")
        click.echo(
            f"{result.run_id}  {result.state:<15} {accuracy} {seconds}  {title} {dataset}".rstrip()
        )


def _list_runs(api: AirflowApi, limit: int) -> list[DagRun]:
    found = [run for prefix in PREFIXES for run in api.list_runs(prefix, limit)]
    return sorted(found, key=lambda run: run.run_after, reverse=True)[:limit]


def find_run(api: AirflowApi, run_id: str) -> DagRun | None:
    """Airflow's run with our id, among the latest hundred."""
    return next((one for one in _list_runs(api, 100) if one.run_id == run_id), None)


def require_run(api: AirflowApi, run_id: str) -> DagRun:
    """The same; UserError where Airflow knows none."""
    run = find_run(api, run_id)
    if run is None:
        raise UserError(f"Run {run_id!r} is not known here. ./modelmill runs lists those that are.")
    return run


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write the report, one self-contained HTML file, here.",
)
@json_option
def report(run_id: str, output: Path | None, as_json: bool) -> None:
    """Show a run's numbers and where its report is; RUN is an id from ./modelmill runs."""
    installation = use_installation()
    files = RunFiles(artifacts=installation.artifacts, run_id=run_id)
    files.plan()
    outcome = files.find(EVALUATE.task, EvaluateOutcome)
    if outcome is None:
        raise UserError(f"Run {run_id} has no report: its evaluation has not ended.")
    with use_airflow(installation) as api:
        run = find_run(api, run_id)
        if run is None:
            raise UserError(f"Airflow no longer knows run {run_id}; its report is still there.")
        result = describe_run(api, run, api.list_tasks(run), installation)
    if output is not None:
        output.write_bytes(store.read_bytes(outcome.report_uri))
    if as_json:
        emit_json(result)
    else:
        show_result(result)
