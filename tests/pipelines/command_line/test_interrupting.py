"""./modelmill cancel and resume of runs that cannot be: what they say."""

import pytest

from pipelines.airflow_api import DagRun
from tests.pipelines.airflow_server import Row, make_row
from tests.pipelines.conftest import Run


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
