"""./modelmill cancel and resume, against an Airflow that has one run."""

import json

import pytest

from pipelines.airflow_api import DagRun
from pipelines.command_line import interrupting
from tests.pipelines.airflow_server import Row, make_row
from tests.pipelines.conftest import Run

STATES = {"plan": "success", "etl": "success", "train": "failed", "evaluate": "upstream_failed"}
STATES |= {"ask": "skipped", "gate": "upstream_failed"}


def list_tasks(states: dict[str, str]) -> list[Row]:
    return [{"task_id": name, "state": state} for name, state in states.items()]


def test_a_run_is_cancelled_and_goes_on_with_what_is_not_done(
    run: Run, airflow: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupting, "PAUSE_S", 0.01)
    row = make_row(state="running") | {"tasks": list_tasks(STATES), "written_over": "success"}
    airflow.append(row)
    run_id = DagRun.model_validate(row).run_id
    cancelled = run("cancel", run_id)
    assert (cancelled.code, row["state"]) == (0, "failed"), cancelled.err
    assert f"./modelmill resume {run_id}" in cancelled.out
    resumed = run("resume", run_id, "--json")
    assert resumed.code == 0, resumed.err
    assert row["cleared"] == ["train", "evaluate", "gate", "ask"]
    assert json.loads(resumed.out)["state"] == "running"
    assert "goes on with: train, evaluate, gate, ask" in resumed.err


def test_a_run_that_is_done_but_for_its_end_is_not_resumed(run: Run, airflow: list[Row]) -> None:
    row = make_row(state="failed") | {"tasks": list_tasks({"plan": "success"})}
    airflow.append(row)
    done = run("resume", DagRun.model_validate(row).run_id)
    assert (done.code, done.out) == (1, "")
    assert "all of its tasks are done" in done.err


@pytest.mark.parametrize(
    ("command", "state", "words"),
    [
        ("cancel", "success", "has ended already: its state is success"),
        ("cancel", "failed", "has ended already: its state is failed"),
        ("resume", "running", "its state is running"),
        ("resume", "success", "its state is success"),
    ],
)
def test_other_states_get_a_sentence(
    run: Run, airflow: list[Row], command: str, state: str, words: str
) -> None:
    row = make_row(state=state)
    airflow.append(row)
    done = run(command, DagRun.model_validate(row).run_id)
    assert (done.code, done.out) == (1, "")
    assert words in done.err


@pytest.mark.parametrize("command", ["cancel", "resume"])
def test_unknown_runs_get_a_sentence(run: Run, airflow: list[Row], command: str) -> None:
    done = run(command, "20250301T020000-0a1b2c")
    assert done.code == 1
    assert "./modelmill runs lists" in done.err
