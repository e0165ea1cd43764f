"""Watch a run task by task until it ends, or waits for a person."""

import sys
import time
from datetime import UTC, datetime

import click
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from pipelines.airflow_api import AWAITING_INPUT, ENDED_RUN, ENDED_TASK, AirflowApi, DagRun, TaskRun
from pipelines.results import sort_tasks, waits_for_answer
from serving.job.errors import UserError

POLL_S = 1.0
# How long a task may be silent before its job's last line is shown, where lines stay.
EVERY_S = 10
PATIENCE_S = 120


def follow_run(api: AirflowApi, run: DagRun) -> tuple[DagRun, list[TaskRun]]:
    """Show progress on standard error: in place on a terminal, else a line per change."""
    show = _show_in_place if sys.stderr.isatty() else _show_changes
    return show(api, run)


# A busy Airflow may be silent for a while; the run goes on meanwhile.
@retry(
    retry=retry_if_exception_type(UserError),
    stop=stop_after_delay(PATIENCE_S),
    wait=wait_fixed(POLL_S),
    reraise=True,
)
def _poll(api: AirflowApi, run: DagRun) -> tuple[DagRun, list[TaskRun]]:
    # The run first: once it has ended, no task changes any more.
    now = api.read_run(run)
    return now, sort_tasks(api.list_tasks(run))


def _listen(api: AirflowApi, run: DagRun, task: TaskRun) -> str:
    """What the running task's job said last; a log that cannot be read is no reason to stop."""
    if task.state != "running":
        return ""
    try:
        return api.read_last_words(run, task) or ""
    except UserError:
        return ""


def _show_changes(api: AirflowApi, run: DagRun) -> tuple[DagRun, list[TaskRun]]:
    shown: dict[str, str] = {}
    said: dict[str, str] = {}
    spoken = time.monotonic()
    while True:
        now, tasks = _poll(api, run)
        for task in tasks:
            if task.state in ("running", "up_for_retry", AWAITING_INPUT, *ENDED_TASK):
                line = f"{task.task_id:<12} {_describe(task)}"
                if shown.get(task.task_id) != f"{task.state}{task.try_number}":
                    click.echo(f"{_elapsed(now):5.0f} s  {line}", err=True)
                    shown[task.task_id] = f"{task.state}{task.try_number}"
                    spoken = time.monotonic()
        if time.monotonic() - spoken > EVERY_S:
            for task in tasks:
                words = _listen(api, run, task)
                if words and said.get(task.task_id) != words:
                    click.echo(f"{_elapsed(now):5.0f} s      {words}", err=True)
                    said[task.task_id] = words
            spoken = time.monotonic()
        if now.state in ENDED_RUN or waits_for_answer(tasks):
            return now, tasks
        time.sleep(POLL_S)


def _show_in_place(api: AirflowApi, run: DagRun) -> tuple[DagRun, list[TaskRun]]:
    from rich.console import Console
    from rich.live import Live
    from rich.markup import escape
    from rich.table import Table

    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        while True:
            now, tasks = _poll(api, run)
            table = Table("task", "state", "", box=None, title=f"Run {run.run_id}")
            for task in tasks:
                table.add_row(task.task_id, _describe(task), escape(_listen(api, run, task)))
            table.add_row("", f"{_elapsed(now):.0f} s in all")
            live.update(table)
            if now.state in ENDED_RUN or waits_for_answer(tasks):
                return now, tasks
            time.sleep(POLL_S)


def _elapsed(run: DagRun) -> float:
    return ((run.end_date or datetime.now(UTC)) - run.run_after).total_seconds()


def _describe(task: TaskRun) -> str:
    words = (task.state or "waiting").replace("_", " ")
    if task.state == AWAITING_INPUT:
        return "waits for a person's answer"
    if task.state in ("success", "failed") and task.duration is not None:
        words = f"{words}, {task.duration:.0f} s"
    elif task.state == "running" and task.start_date is not None:
        words = f"{words}, {(datetime.now(UTC) - task.start_date).total_seconds():.0f} s"
    return f"{words} (attempt {task.try_number})" if task.try_number > 1 else words
