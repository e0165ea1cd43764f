"""The upload page: who may send, what is taken, and what the import's DAG is told."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serving.console import upload as upload_routes
from tests.serving.console.conftest import draw
from tests.serving.running import run_console

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OUTCOME = {
    "read": 3,
    "added": 2,
    "already_there": 1,
    "conflicts": 0,
    "rejected": [{"name": "<b>x</b>", "reason": "broken"}],
    "more": 1,
}


class Airflow:
    """What was asked of it, and the states that its run goes through."""

    def __init__(self, outcome_uri: str) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.states = ["queued", "running", "success"]
        self.outcome_uri = outcome_uri
        self.refusal = ""

    def answer(self, method: str, path: str, content: Any) -> tuple[int, Any]:
        self.asked.append((method, path, content))
        if path == "/auth/token":
            right = content == {"username": "admin", "password": "right"}
            return (201, {"access_token": "t0ken"}) if right else (401, {})
        if self.refusal:
            return 404, {"detail": self.refusal}
        if path.endswith("/xcomEntries/return_value"):
            return 200, {"value": {"uri": self.outcome_uri}}
        if path.endswith("/xcomEntries/reason"):
            return 200, {"value": "The folder is gone."}
        if method == "GET":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return (500, {}) if state == "hiccup" else (200, {"state": state})
        return 200, {"dag_run_id": "manual__2026-01-02T00:00:00+00:00"}


@pytest.fixture
def airflow(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "outcome.json").write_text(json.dumps(OUTCOME))
    fake = Airflow((tmp_path / "attempt").as_uri())

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(length)) if length else None
            status, body = fake.answer(self.command, self.path, content)
            sent = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's own names

        def log_message(self, *_: object) -> None:
            """Nothing."""

    (home / "secrets").mkdir(exist_ok=True)
    (home / "secrets" / "airflow-users.json").write_text('{"admin": "right"}')
    monkeypatch.setenv("MODELMILL_IMPORT_ROOTS", str(tmp_path / "import"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,)).start()
        monkeypatch.setenv("MODELMILL_PORT_AIRFLOW", str(server.server_port))
        yield fake
        server.shutdown()


@pytest.fixture
def client(console: FastAPI, airflow: Airflow) -> Iterator[httpx.Client]:
    with run_console(console) as port:
        address = f"http://127.0.0.1:{port}"
        headers = {"Origin": address}
        with httpx.Client(base_url=address, headers=headers, trust_env=False) as one:
            yield one


@pytest.fixture
def base(client: httpx.Client, pets: str, token: str) -> str:
    """Of the dataset; the client is let in."""
    client.post(f"/datasets/{pets}/session", json={"token": token})
    return f"/datasets/{pets}/uploads"


def pack(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, draw("teal"))
        archive.writestr("ants/readme.txt", "hello")
    return file.getvalue()


def begin(client: httpx.Client, base: str) -> str:
    return f"{base}/{client.post(base).json()['id']}"


def send(client: httpx.Client, one: str, label: str, file: str, content: bytes) -> httpx.Response:
    return client.post(f"{one}/files", params={"label": label, "file": file}, content=content)


def test_nobody_sends_without_a_session(client: httpx.Client, pets: str, tmp_path: Path) -> None:
    assert client.post(f"/datasets/{pets}/uploads").status_code == 401
    assert not (tmp_path / "import").exists()


def test_another_origin_sends_nothing(client: httpx.Client, base: str, tmp_path: Path) -> None:
    one = begin(client, base)
    for path in (base, f"{one}/files?label=a&file=b", f"{one}/archive", f"{one}/import"):
        answer = client.post(path, content=b"x", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403, path
    assert [p for p in (tmp_path / "import").rglob("*") if p.is_file()] == []


def test_pictures_of_a_class_then_the_import(
    client: httpx.Client, base: str, airflow: Airflow, pets: str, tmp_path: Path
) -> None:
    one = begin(client, base)
    empty = client.post(f"{one}/import")
    assert (empty.status_code, empty.json()["error"]["code"]) == (409, "empty")
    send(client, one, "cat", "a.png", draw("gold"))
    answer = send(client, one, "cat", "notes.txt", b"hello").json()
    assert (answer["classes"], answer["refusals"]) == ({"cat": 1}, 1)
    for label in ("..", "a/b", ""):
        answer = send(client, one, label, "a.png", draw("gold")).json()
    assert (answer["classes"], answer["refusals"]) == ({"cat": 1}, 4)
    (folder,) = (tmp_path / "import" / "uploads").iterdir()
    assert client.post(f"{one}/import").status_code == 200
    client.post(f"{one}/import")
    triggers = [c for method, path, c in airflow.asked if path.endswith("/dagRuns")]
    assert triggers == [{"logical_date": None, "conf": {"dataset": pets, "source": str(folder)}}], (
        "it was started twice, or otherwise"
    )
    states = [client.get(f"{one}/import").json() for _ in range(3)]
    assert [state["state"] for state in states] == ["queued", "running", "success"]
    assert states[-1]["outcome"]["added"] == 2
    assert not folder.exists()
    assert client.get(f"{one}/import").status_code == 404


def test_a_failed_import_says_why_and_can_be_tried_again(
    client: httpx.Client, base: str, airflow: Airflow
) -> None:
    airflow.states = ["failed"]
    one = begin(client, base)
    send(client, one, "cat", "a.png", draw("gold"))
    client.post(f"{one}/import")
    assert client.get(f"{one}/import").json()["reason"] == "The folder is gone."
    assert client.post(f"{one}/import").status_code == 200
    assert sum(path.endswith("/dagRuns") for _, path, _ in airflow.asked) == 2


def test_airflow_refuses(client: httpx.Client, base: str, airflow: Airflow) -> None:
    airflow.refusal = "no such Dag"
    one = begin(client, base)
    send(client, one, "cat", "a.png", draw("gold"))
    answer = client.post(f"{one}/import").json()
    assert answer["error"]["message"] == "Airflow refuses (404): no such Dag"


def test_airflow_is_down(client: httpx.Client, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_PORT_AIRFLOW", "1")
    one = begin(client, base)
    send(client, one, "cat", "a.png", draw("gold"))
    answer = client.post(f"{one}/import")
    assert answer.status_code == 409
    assert "Airflow does not take this" in answer.json()["error"]["message"]
    assert "right" not in answer.text


def test_too_large_a_body(client: httpx.Client, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_routes, "MAX_FILE_BYTES", 1000)
    one = begin(client, base)
    answer = send(client, one, "cat", "a.png", bytes(100_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "size")


def test_old_uploads_make_room(client: httpx.Client, base: str, tmp_path: Path) -> None:
    ones = [begin(client, base) for _ in range(upload_routes.MAX_UPLOADS + 2)]
    assert len(list((tmp_path / "import" / "uploads").iterdir())) == upload_routes.MAX_UPLOADS
    assert send(client, ones[0], "cat", "a.png", draw("gold")).status_code == 404
    assert send(client, ones[-1], "cat", "a.png", draw("gold")).status_code == 200


@pytest.fixture
def page(console: FastAPI, airflow: Airflow, pets: str, token: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium shows the page to a test")
    with run_console(console) as port, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.expect, opened.problems = playwright.expect, []
        opened.on("console", lambda message: opened.problems.append(message.text))
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.goto(f"http://127.0.0.1:{port}/datasets/{pets}/upload#{token}")
        opened.wait_for_selector("#work:not([hidden])")
        yield opened
        browser.close()


def test_a_hiccup_of_airflow_does_not_end_the_waiting(page: Any, airflow: Airflow) -> None:
    airflow.states = ["running", "hiccup", "hiccup", "success"]
    archive = {"name": "p.zip", "mimeType": "application/zip", "buffer": pack("ants/1.png")}
    page.set_input_files("#archive", [archive])
    page.expect(page.locator("#import")).to_be_enabled()
    page.click("#import")
    page.expect(page.locator("#result-text")).to_contain_text("added 2", timeout=20_000)


def test_a_zip_and_pictures_from_a_browser(page: Any) -> None:
    archive = {"name": "p.zip", "mimeType": "application/zip", "buffer": pack("ants/1.png")}
    page.set_input_files("#archive", [archive])
    page.expect(page.locator("#classes")).to_contain_text("1 picture")
    assert "ants/readme.txt: not an image" in page.inner_text("#refused")
    picture = {"name": "1.png", "mimeType": "image/png", "buffer": draw("gold")}
    page.expect(page.locator("#files")).to_be_enabled()
    page.set_input_files("#files", [picture])
    page.expect(page.locator("#problem")).to_contain_text("Give the class's name first")
    page.fill("#class", "bees")
    page.set_input_files("#files", [picture, {**picture, "name": "2.png"}])
    page.expect(page.locator("#classes")).to_contain_text("bees")
    page.expect(page.locator("#import")).to_be_enabled()
    page.click("#import")
    page.expect(page.locator("#result-text")).to_contain_text("added 2, already there 1")
    assert page.inner_text("#rejected") == "<b>x</b>: broken"
    assert page.is_disabled("#import")
    assert page.problems == []
