import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serving.console.app import create_app
from serving.content_policy import hash_inline, hash_leading_script

RUN, OLDER = "20260102T030405-abcdef", "20251231T235959-00ff00"
STYLE = "p > b { color: red }\n"
REPORT = f"<!doctype html><style>{STYLE}</style><p>&lt;b&gt;键盘<script>alert(1)</script>"


def write_run(root: Path, run_id: str, accuracy: float, *, attempts: int = 1) -> None:
    for number in range(1, attempts + 1):
        attempt = root / run_id / "evaluate" / f"attempt-{number}"
        attempt.mkdir(parents=True)
        (attempt / "report.html").write_text(REPORT + f"attempt {number}")
        numbers = f'"accuracy": {accuracy}, "macro_f1": 0.5, "test_samples": 153'
        (attempt / "outcome.json").write_text(f'{{{numbers}, "classes": ["a"]}}')
    (root / run_id / "evaluate" / "committed").write_text(str(attempts))
    (root / run_id / "plan.json").write_text('{"request": {"dataset": "ants", "epochs": 3}}')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_run(tmp_path, RUN, 0.951, attempts=2)
    write_run(tmp_path, OLDER, 0.8)
    (tmp_path / "20260103T000000-aaaaaa" / "etl").mkdir(parents=True)
    (tmp_path / "<img src=x>").mkdir()
    return tmp_path


@pytest.fixture
def app(root: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.delenv("MODELMILL_MONGO_URI", raising=False)
    return create_app(root.as_uri())


def get(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    async def call() -> httpx.Response:
        transport: Any = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        base = "http://127.0.0.1:8090"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.get(path, headers=headers)

    return asyncio.run(call())


def test_runs_are_listed_newest_first(app: FastAPI) -> None:
    page = get(app, "/")
    assert page.status_code == 200
    assert re.findall(r'href="/runs/([^"/]+)/report"', page.text) == [RUN, OLDER]
    assert "95.1 %" in page.text
    assert "ants" in page.text
    assert "2026-01-02 03:04:05 UTC" in page.text
    assert "<img" not in page.text


def test_a_store_that_is_away_hides_only_its_own_part(app: FastAPI) -> None:
    page = get(app, "/").text
    assert "The deployments cannot be read now" in page
    assert RUN in page


def test_report_is_the_committed_attempts(app: FastAPI) -> None:
    page = get(app, f"/runs/{RUN}/report")
    assert page.status_code == 200
    assert page.text.endswith("attempt 2")


def test_report_may_only_show_its_own_style(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_PORT_AIRFLOW", "8080")
    headers = get(app, f"/runs/{RUN}/report").headers
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert headers["Content-Security-Policy"] == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "script-src 'none'; "
        "frame-ancestors http://127.0.0.1:8080; base-uri 'none'; form-action 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "run_id", ["20990101T000000-abcdef", "20260103T000000-aaaaaa", "%2e%2e", "<b>x", RUN + "x"]
)
def test_no_such_report_is_a_readable_page(app: FastAPI, run_id: str) -> None:
    page = get(app, f"/runs/{run_id}/report")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "<b>x" not in page.text


def test_committed_marker_cannot_lead_elsewhere(app: FastAPI, root: Path) -> None:
    (root / RUN / "evaluate" / "committed").write_text("1/../../../../etc")
    assert get(app, f"/runs/{RUN}/report").status_code == 404


def test_unknown_page(app: FastAPI) -> None:
    page = get(app, "/nope")
    assert page.status_code == 404
    assert "No page at /nope" in page.text


def test_other_hosts_are_refused(app: FastAPI) -> None:
    assert get(app, "/", Host="evil.example").status_code == 400
    assert get(app, "/", Host="localhost:8090").status_code == 200


def test_health(app: FastAPI) -> None:
    assert get(app, "/healthz").json() == {"status": "ok"}


def test_page_without_styles_allows_none() -> None:
    assert hash_inline("<p>x</p>", "style") == "'none'"


def test_only_the_script_that_a_page_begins_with_may_run() -> None:
    script = "let a = 1 < 2 && '</b>';\n"
    begin = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = f"{begin}<script>{script}</script><title>x</title><script>alert(1)</script>"
    assert hash_leading_script(page) == f"'sha256-{digest}'"
    assert hash_leading_script(f"{begin}<title>x</title><script>alert(1)</script>") == "'none'"
    assert hash_leading_script(f" {page}") == hash_leading_script("") == "'none'"
