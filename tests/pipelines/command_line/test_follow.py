"""A run is followed task by task, with what its jobs say meanwhile."""

import re
from typing import Any

import httpx
import pytest

from pipelines.airflow_api import AirflowApi, DagRun, TaskRun
from pipelines.command_line import follow

ROW: dict[str, Any] = {
    "dag_id": "modelmill_train",
    "dag_run_id": "manual__1",
    "state": "running",
    "run_type": "manual",
    "run_after": "2025-03-01T02:00:00Z",
}
RUN = DagRun.model_validate(ROW)
TASK: dict[str, Any] = {"task_id": "train", "state": "running", "try_number": 2}
JOB = "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook"
LOG = "/taskInstances/train/logs/2"


def write_log(*said: str) -> dict[str, Any]:
    """A task's log as Airflow gives it, with its own lines around the job's."""
    lines = [("task", "Worker startup"), (JOB, "Running command"), (JOB, "Output:")]
    lines += [(JOB, line) for line in said]
    return {
        "content": [
            {"event": "::group::Log message source details"},
            *({"event": event, "logger": logger, "level": "info"} for logger, event in lines),
            {"event": "Pushing xcom", "logger": "task"},
        ]
    }


def make_api(*logs: httpx.Response) -> AirflowApi:
    """A run that ends when all logs were read."""
    left = list(logs)

    def handle(request: httpx.Request) -> httpx.Response:
        state = "running" if left else "success"
        if request.url.path.endswith(LOG):
            return left.pop(0)
        if request.url.path.endswith("taskInstances"):
            return httpx.Response(200, json={"task_instances": [{**TASK, "state": state}]})
        return httpx.Response(200, json={**ROW, "state": state})

    return AirflowApi(
        httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(handle))
    )


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (write_log("trial 1", "trial 2", " ", "======"), "trial 2"),
        (write_log(), None),
        # It was tried in another way, and has said nothing there.
        (write_log("trial 7", "Running command", "Output:"), None),
        ({"content": []}, None),
    ],
)
def test_last_words_are_the_jobs_own(log: dict[str, Any], words: str | None) -> None:
    api = make_api(httpx.Response(200, json=log))
    assert api.read_last_words(RUN, TaskRun.model_validate(TASK)) == words


def test_a_log_that_is_not_there_yet_says_nothing() -> None:
    api = make_api(httpx.Response(404, json={}))
    assert api.read_last_words(RUN, TaskRun.model_validate(TASK)) is None


@pytest.mark.parametrize("on_terminal", [True, False])
def test_progress_is_shown_until_the_end(
    *, on_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "POLL_S", 0.01)
    monkeypatch.setattr(follow, "EVERY_S", 0)
    show = follow._show_in_place if on_terminal else follow._show_changes
    if on_terminal:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("COLUMNS", "120")
    api = make_api(
        httpx.Response(200, json=write_log("trial 3  best 0.91  [12 s left]")),
        httpx.Response(500, text="busy"),
        httpx.Response(200, json=write_log("trial 3  best 0.91  [12 s left]")),
        httpx.Response(200, json=write_log("trial 9  best 0.95")),
    )
    run, tasks = show(api, RUN)
    assert (run.state, tasks[0].state) == ("success", "success")
    shown = capsys.readouterr().err
    assert re.search(r"train +success", shown)
    if not on_terminal:
        assert re.search(r"train +running.*\(attempt 2\)", shown)
        assert shown.count("trial 3  best 0.91  [12 s left]") == 1
        assert "trial 9  best 0.95" in shown
