"""./modelmill approve and reject: the answer that a run waits for."""

import sys
from collections.abc import Callable
from typing import Any

import click

from pipelines.airflow_api import AirflowApi, DagRun
from pipelines.command_line.follow import follow_run
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.command_line.runs import EXIT_CODES, require_run, show_result, use_airflow
from pipelines.gate.files import ASK
from pipelines.results import describe_run, waits_for_answer
from serving.job.errors import UserError

APPROVE, REJECT = "Approve", "Reject"


def _find_waiting(api: AirflowApi, run_id: str) -> DagRun:
    run = require_run(api, run_id)
    tasks = api.list_tasks(run)
    if not waits_for_answer(tasks):
        raise UserError(f"Run {run_id} waits for no answer: its state is {run.state}.")
    return run


def _answer(run_id: str, option: str, *, wait: bool, as_json: bool) -> None:
    installation = use_installation()
    with use_airflow(installation) as api:
        run = _find_waiting(api, run_id)
        api.answer(run, ASK, option)
        click.echo(f"Run {run_id} has your answer: {option.lower()}.", err=True)
        if wait:
            run, tasks = follow_run(api, run)
        else:
            run, tasks = api.read_run(run), api.list_tasks(run)
        result = describe_run(api, run, tasks, installation)
    if as_json:
        emit_json(result)
    elif wait:
        show_result(result)
    sys.exit(EXIT_CODES[result.state])


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    wait = click.option(
        "--wait", is_flag=True, help="Show progress, and end when the run has ended."
    )
    return click.argument("run_id", metavar="RUN")(wait(json_option(function)))


@click.command()
@_options
def approve(run_id: str, wait: bool, as_json: bool) -> None:
    """Let the model of a run that asks take over; RUN is an id from ./modelmill runs."""
    _answer(run_id, APPROVE, wait=wait, as_json=as_json)


@click.command()
@_options
def reject(run_id: str, wait: bool, as_json: bool) -> None:
    """Keep what serves now in place of the model of a run that asks."""
    _answer(run_id, REJECT, wait=wait, as_json=as_json)
