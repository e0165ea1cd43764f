"""./modelmill approve and reject, against an Airflow that has a run which asks."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.airflow_api import DagRun
from pipelines.artifacts import Artifacts
from pipelines.context import RunFiles
from pipelines.gate.decision import GateDecision
from pipelines.gate.files import write_decision
from tests.pipelines.airflow_server import PASSWORD, USER, make_row
from tests.pipelines.conftest import Run
from tests.pipelines.literals import GATE

ASKING = GateDecision(
    passed=False, good_enough=False, asks=True, reason="It may be chance.", numbers=GATE.numbers
)
ROW = make_row()


class Asking(ThreadingHTTPServer):
    """Airflow's API with one run. state: of its task ask; answers: what was sent."""

    state = "awaiting_input"
    answers: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    server: Asking

    def do_POST(self) -> None:
        self._read()
        self._send({"access_token": "t0ken"}, 201)

    def do_GET(self) -> None:
        if self.path.startswith("/api/v2/dags/~/"):
            self._send({"dag_runs": [ROW], "total_entries": 1})
        elif "/taskInstances" in self.path:
            self._send({"task_instances": [{"task_id": "ask", "state": self.server.state}]})
        else:
            self._send(ROW)

    def do_PATCH(self) -> None:
        assert self.path.endswith("/taskInstances/ask/-1/hitlDetails")
        self.server.answers.append(self._read())
        self.server.state = "scheduled"
        self._send({})

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _send(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asking(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    (home / "secrets").mkdir()
    (home / "secrets" / "airflow-users.json").write_text(json.dumps({USER: PASSWORD}))
    with Asking(("127.0.0.1", 0), Handler) as server:
        server.answers = []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("MODELMILL_PORT_AIRFLOW", str(server.server_port))
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def waiting(home: Path, tmp_path: Path) -> str:
    """Our id of the run, whose gate has asked."""
    run_id = DagRun.model_validate(ROW).run_id
    artifacts = Artifacts(hdfs=(tmp_path / "hdfs").as_uri(), scratch=tmp_path.as_uri())
    write_decision(RunFiles(artifacts=artifacts, run_id=run_id), ASKING)
    return run_id


@pytest.mark.parametrize(("command", "option"), [("approve", "Approve"), ("reject", "Reject")])
def test_an_answer_is_sent(
    run: Run, asking: Asking, waiting: str, command: str, option: str
) -> None:
    done = run(command, waiting, "--json")
    assert done.code == 0, done.err
    assert asking.answers == [{"chosen_options": [option], "params_input": {}}]
    assert f"has your answer: {command}" in done.err
    assert json.loads(done.out)["state"] == "running"


def test_a_run_that_asks_is_listed_so(run: Run, asking: Asking, waiting: str) -> None:
    done = run("runs", "--json")
    (found,) = json.loads(done.out)["runs"]
    assert (found["run_id"], found["state"]) == (waiting, "waits_for_answer")
    assert found["reason"] == ASKING.reason
    assert found["question_uri"].endswith("/required_actions")
    assert "waits_for_answer" in run("runs").out


def test_a_run_that_asks_nothing_gets_a_sentence(run: Run, asking: Asking, waiting: str) -> None:
    asking.state = "success"
    done = run("approve", waiting)
    assert (done.code, done.out, asking.answers) == (1, "", [])
    assert "waits for no answer" in done.err


def test_a_run_that_is_not_known_gets_a_sentence(run: Run, asking: Asking) -> None:
    done = run("reject", "20250301T020000-0a1b2c")
    assert done.code == 1
    assert "./modelmill runs lists" in done.err
