"""Airflow's REST API, answered by a transport that is not there, and by one small server."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.airflow_api import AirflowApi, DagRun, open_airflow
from pipelines.artifacts import make_run_id
from pipelines.local.second_home import find_free_ports
from pipelines.settings import Settings
from serving.job.errors import UserError

AT = datetime(2025, 3, 1, 2, tzinfo=UTC)
ROW: dict[str, Any] = {
    "dag_id": "modelmill_train",
    "dag_run_id": "manual__2025-03-01T02:00:00+00:00",
    "state": "running",
    "run_type": "manual",
    "run_after": "2025-03-01T02:00:00Z",
    "conf": {"dataset": "boards"},
    "note": "Airflow says more than we read",
}
RUN = DagRun.model_validate(ROW)
RUN_PATH = "/api/v2/dags/modelmill_train/dagRuns/manual__2025-03-01T02%3A00%3A00%2B00%3A00"
Handler = Callable[[httpx.Request], httpx.Response]


def make_api(handler: Handler) -> AirflowApi:
    return AirflowApi(
        httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(handler))
    )


def answer(status: int, body: object) -> Handler:
    return lambda _: httpx.Response(status, json=body)


def test_trigger_wakes_the_dag_and_sends_the_form() -> None:
    seen: list[tuple[str, str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(200, json=ROW)

    run = make_api(handle).trigger("modelmill_train", {"dataset": "boards"})
    assert seen == [
        ("PATCH", "/api/v2/dags/modelmill_train", {"is_paused": False}),
        (
            "POST",
            "/api/v2/dags/modelmill_train/dagRuns",
            {"logical_date": None, "conf": {"dataset": "boards"}},
        ),
    ]
    assert run == RUN
    assert run.run_id == make_run_id("modelmill_train", ROW["dag_run_id"], AT)


@pytest.mark.parametrize(("end", "seconds"), [(None, None), ("2025-03-01T02:01:30Z", 90.0)])
def test_seconds_count_from_the_trigger(end: str | None, seconds: float | None) -> None:
    assert DagRun.model_validate({**ROW, "end_date": end}).seconds == seconds


def test_tasks_are_read_by_an_escaped_run_id() -> None:
    seen: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(
            200, json={"task_instances": [{"task_id": "etl", "state": None, "map_index": -1}]}
        )

    (task,) = make_api(handle).list_tasks(RUN)
    assert (task.task_id, task.state, task.try_number) == ("etl", None, 0)
    assert seen == [f"{RUN_PATH}/taskInstances?limit=100".encode()]


def test_xcom_that_is_missing_is_none() -> None:
    assert make_api(answer(404, {"detail": "none"})).read_xcom(RUN, "etl", "reason") is None
    assert make_api(answer(200, {"value": "x"})).read_xcom(RUN, "etl", "reason") == "x"


def test_dag_that_is_missing_is_none() -> None:
    assert make_api(answer(404, {"detail": "none"})).find_dag("modelmill_train") is None
    found = make_api(answer(200, {"dag_id": "d", "is_paused": True})).find_dag("d")
    assert found is not None
    assert found.is_paused


def test_run_that_is_missing_is_refused_with_airflows_words() -> None:
    with pytest.raises(UserError) as raised:
        make_api(answer(404, {"detail": "No such run"})).read_run(RUN)
    assert str(raised.value) == "Airflow refuses (404): No such run"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": "dataset: does not match"}', "dataset: does not match"),
        (b'{"detail": [{"loc": ["body"], "msg": "too long"}]}', "too long"),
        (b"<h1>Bad Gateway</h1>", "<h1>Bad Gateway</h1>"),
        (b'["no detail"]', "no detail"),
        (b'{"title": "no detail"}', "no detail"),
    ],
)
def test_refusal_says_why(body: bytes, words: str) -> None:
    api = make_api(lambda _: httpx.Response(422, content=body))
    with pytest.raises(UserError) as raised:
        api.trigger("modelmill_train", {})
    assert str(raised.value).startswith("Airflow refuses (422): ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
def test_silence_is_said(error: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("cut", request=request)

    with pytest.raises(UserError, match=rf"^Airflow does not answer \({error.__name__}\)\.$"):
        make_api(fail).read_run(RUN)


def test_runs_of_other_dags_are_left_out() -> None:
    rows = [ROW, {**ROW, "dag_id": "other"}]
    found = make_api(answer(200, {"dag_runs": rows})).list_runs("modelmill_", 5)
    assert found == [RUN]


@pytest.mark.parametrize(("there", "posts"), [(True, 0), (False, 1)])
def test_pool_is_made_once(there: bool, posts: int) -> None:
    posted: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200 if there else 404, json={"name": "heavy"})
        posted.append(json.loads(request.content))
        return httpx.Response(201, json={})

    make_api(handle).ensure_pool("heavy", 1, "One at a time")
    assert posted == [{"name": "heavy", "slots": 1, "description": "One at a time"}] * posts


class TokenServer(BaseHTTPRequestHandler):
    """Signs ada in, and knows one DAG for those who are."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = body == {"username": "ada", "password": "right"}
        self._send(201 if right else 401, {"access_token": "t0ken"})

    def do_GET(self) -> None:
        signed_in = self.headers["Authorization"] == "Bearer t0ken"
        self._send(200 if signed_in else 403, {"dag_id": "d", "is_paused": False})

    def _send(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with HTTPServer(("127.0.0.1", 0), TokenServer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Settings(home=tmp_path, port_airflow=server.server_port)
        server.shutdown()
        thread.join()


def test_signed_in_calls_carry_the_token(settings: Settings) -> None:
    with open_airflow(settings, "ada", "right") as api:
        assert api.find_dag("d") is not None


def test_wrong_password_names_the_user_and_not_the_password(settings: Settings) -> None:
    with (
        pytest.raises(UserError, match=r"refuses user 'ada' \(401\)") as raised,
        open_airflow(settings, "ada", "wr0ng"),
    ):
        pass
    assert settings.airflow_address in str(raised.value)
    assert "wr0ng" not in str(raised.value)


def test_nobody_there_says_what_to_do(tmp_path: Path) -> None:
    nobody = Settings(home=tmp_path, port_airflow=find_free_ports(1)[0])
    with (
        pytest.raises(UserError, match=f"at {nobody.airflow_address}. Start it: ./modelmill up"),
        open_airflow(nobody, "ada", "right"),
    ):
        pass


def test_proxy_is_not_asked_for_this_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{find_free_ports(1)[0]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with open_airflow(settings, "ada", "right") as api:
        assert api.find_dag("d") is not None


def test_a_run_is_failed_and_its_tasks_are_cleared_as_the_ui_does_it() -> None:
    seen: list[tuple[str, bytes, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.raw_path, json.loads(request.content)))
        return httpx.Response(200, json={**ROW, "state": "failed"})

    api = make_api(handle)
    assert api.fail_run(RUN).state == "failed"
    api.clear_tasks(RUN, ["train", "evaluate"])
    failed, cleared = seen
    assert failed == ("PATCH", RUN_PATH.encode(), {"state": "failed"})
    assert cleared[:2] == ("POST", b"/api/v2/dags/modelmill_train/clearTaskInstances")
    assert cleared[2] == {
        "dry_run": False,
        "dag_run_id": ROW["dag_run_id"],
        "task_ids": ["train", "evaluate"],
        "only_failed": False,
        "reset_dag_runs": True,
    }
