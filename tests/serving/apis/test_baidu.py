"""EasyDL's and EasyEdge's callers get what those servers answered them."""

import base64
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from serving.app import create_app
from tests.serving.test_app import LABELS, RAW, ask
from tests.serving.tiny import plain, write_bundle

ENCODED = base64.b64encode(plain(255)).decode()
EASYDL = "/brightness/ImageClassification"


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(write_bundle(tmp_path / "b", classes=LABELS), "brightness", 3)


def error_of(answer: httpx.Response, status: int, code: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error_code"] == code
    return str(body["error_msg"])


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream"])
def test_easydl(app: FastAPI, kind: str) -> None:
    content = f'{{"image": "{ENCODED}", "top_num": 1, "access": "ignored"}}'
    answer = ask(app, "POST", EASYDL, content=content, headers={"Content-Type": kind})
    body = answer.json()
    assert set(body) == {"log_id", "results"}
    assert isinstance(body["log_id"], int)
    ((result),) = body["results"]
    assert set(result) == {"name", "score"}
    assert result["name"] == "<b>bright</b>"
    assert len(ask(app, "POST", EASYDL, json={"image": ENCODED}).json()["results"]) == 2


def test_easydl_errors(app: FastAPI) -> None:
    def post(content: str | bytes, path: str = EASYDL, **headers: str) -> httpx.Response:
        return ask(app, "POST", path, content=content, headers=headers)

    assert "image" in error_of(post("{}"), 400, 336002)
    assert "top_num" in error_of(post(f'{{"image": "{ENCODED}", "top_num": 0}}'), 400, 336002)
    assert "not base64" in error_of(post('{"image": "!"}'), 400, 336003)
    header = f'{{"image": "data:image/png;base64,{ENCODED}"}}'
    assert "before the comma" in error_of(post(header), 400, 336003)
    assert "not an image" in error_of(post('{"image": "AAAA"}'), 400, 336005)
    assert "no body" in error_of(post(""), 400, 336006)
    unknown = "/other/ImageClassification"
    assert "this server is 'brightness'" in error_of(post("{}", unknown), 404, 336001)
    kind = {"Content-Type": "text/html"}
    assert "application/json" in error_of(post("{}", **kind), 415, 336001)
    assert "GET" in error_of(ask(app, "GET", EASYDL), 405, 336001)


def test_easyedge(app: FastAPI) -> None:
    for answer in (
        ask(app, "POST", "/", content=plain(255)),
        ask(app, "POST", "/", content=plain(255), headers=RAW),
        ask(app, "POST", "/?threshold=0", json={"image": ENCODED}),
    ):
        body = answer.json()
        assert set(body) == {"cost_ms", "error_code", "results"}
        assert body["error_code"] == 0
        assert body["cost_ms"] > 0
        assert [(r["index"], r["label"]) for r in body["results"]] == list(enumerate(LABELS))
    high = ask(app, "POST", "/?threshold=0.5", content=plain(0)).json()
    assert [(r["index"], r["label"]) for r in high["results"]] == [(1, LABELS[1])]


def test_easyedge_errors(app: FastAPI) -> None:
    for threshold in ("x", "-1", "1.1", "nan", "inf", ""):
        answer = ask(app, "POST", "/", params={"threshold": threshold}, content=plain(1))
        assert "from 0 to 1" in error_of(answer, 400, 336001)
    assert "not an image" in error_of(ask(app, "POST", "/", content=b"x"), 400, 336005)
    json = {"Content-Type": "application/json"}
    assert '{"image": "<base64>"}' in error_of(
        ask(app, "POST", "/", content="[]", headers=json), 400, 336002
    )
    answer = ask(app, "POST", "/", content=b"x", headers={"Content-Type": "text/html"})
    assert "image/*" in error_of(answer, 415, 336001)
