"""./modelmill cancel and resume: end a run before its time, and let one go on that ended so."""

import sys
import time

import click

from pipelines.airflow_api import ENDED_RUN, AirflowApi, DagRun
from pipelines.command_line.follow import follow_run
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.command_line.runs import EXIT_CODES, require_run, show_result, use_airflow
from pipelines.results import describe_run, sort_tasks
from serving.job.errors import UserError

run_argument = click.argument("run_id", metavar="RUN")
# How often, and how far apart, a cancelled run is looked at again.
LOOKS, PAUSE_S = 3, 1.0


def _fail(api: AirflowApi, run: DagRun) -> DagRun:
    """Mark it failed until it stays so.

    A scheduler that looks at the run meanwhile finds the tasks after the cancelled one skipped, and
    writes "success" over the mark.
    """
    run = api.fail_run(run)
    for _ in range(LOOKS):
        time.sleep(PAUSE_S)
        run = api.read_run(run)
        if run.state != "failed":
            run = api.fail_run(run)
    return run


@click.command()
@run_argument
@json_option
def cancel(run_id: str, as_json: bool) -> None:
    """End the run RUN with all its processes; what serves goes on, and `resume` takes it up."""
    installation = use_installation()
    with use_airflow(installation) as api:
        run = require_run(api, run_id)
        if run.state in ENDED_RUN:
            raise UserError(f"Run {run_id} has ended already: its state is {run.state}.")
        run = _fail(api, run)
        result = describe_run(api, run, api.list_tasks(run), installation)
    if as_json:
        emit_json(result)
    else:
        click.echo(f"Run {run_id} is cancelled. It goes on by: ./modelmill resume {run_id}")


@click.command()
@run_argument
@click.option("--wait", is_flag=True, help="Show progress, and end when the run has ended.")
@json_option
def resume(run_id: str, wait: bool, as_json: bool) -> None:
    """Let a failed or cancelled run RUN go on: tasks that are done stay, training goes on."""
    installation = use_installation()
    with use_airflow(installation) as api:
        run = require_run(api, run_id)
        tasks = sort_tasks(api.list_tasks(run))
        broken = run.state == "success" and any(task.state == "failed" for task in tasks)
        if run.state != "failed" and not broken:
            raise UserError(
                f"Run {run_id} cannot be resumed: its state is {run.state}, and only runs that "
                "failed or were cancelled go on."
            )
        left = [task.task_id for task in tasks if task.state != "success"]
        if not left:
            raise UserError(f"Run {run_id} cannot be resumed: all of its tasks are done.")
        api.clear_tasks(run, left)
        click.echo(f"Run {run_id} goes on with: {', '.join(left)}.", err=True)
        run = api.read_run(run)
        if wait:
            run, tasks = follow_run(api, run)
        result = describe_run(api, run, tasks, installation)
    if as_json:
        emit_json(result)
    elif wait:
        show_result(result)
    sys.exit(EXIT_CODES[result.state])
