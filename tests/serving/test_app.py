"""The API through ASGI, and what it refuses."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.bundle import codec
from serving.bundle.predictor import BadBundleError
from serving.limits import Limits
from tests.serving.tiny import plain, write_bundle

LABELS = ("<b>bright</b>", "键盘")
RAW = {"Content-Type": "application/octet-stream"}
MAX_BODY_BYTES = Limits().max_body_bytes


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(write_bundle(tmp_path / "b", classes=LABELS), "brightness", 3)


def ask(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(call())


def predict(app: FastAPI, **options: Any) -> httpx.Response:
    return ask(app, "POST", "/v1/predict", **options)


def error_of(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == response.headers["X-Request-ID"]
    return str(error["message"])


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg; q=1", "application/octet-stream"])
def test_raw_bytes(app: FastAPI, kind: str) -> None:
    answer = predict(app, content=plain(0), headers={"Content-Type": kind})
    assert answer.status_code == 200
    body = answer.json()
    assert body["declined"] is False
    assert [r["label"] for r in body["results"]] == ["键盘", "<b>bright</b>"]
    assert sum(r["score"] for r in body["results"]) == pytest.approx(1, abs=1e-5)
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert body["model"] == {
        "deployment": "brightness",
        "version": 3,
        "snapshot_id": "0123abcd",
        "run_id": "20260102T030405-abcdef",
    }


def test_all_three_ways_give_the_same_answer(app: FastAPI) -> None:
    picture = plain(200)
    encoded = base64.b64encode(picture).decode()
    answers = [
        predict(app, content=picture, headers=RAW),
        predict(app, files={"file": ("Tür 键盘.png", picture, "image/png")}),
        predict(app, json={"image": encoded}),
        predict(app, content=picture),
    ]
    results = [answer.json()["results"] for answer in answers]
    assert all(r == results[0] for r in results)


def test_top_in_the_query_and_in_json(app: FastAPI) -> None:
    encoded = base64.b64encode(plain(255)).decode()
    for answer in (
        predict(app, params={"top": 1}, content=plain(255), headers=RAW),
        predict(app, json={"image": encoded, "top": 1}),
        predict(app, params={"top": 1}, json={"image": encoded}),
    ):
        assert [r["label"] for r in answer.json()["results"]] == ["<b>bright</b>"]


@pytest.mark.parametrize("top", ["0", "-1", "many", "1.5", "²", "9" * 30])
def test_bad_top(app: FastAPI, top: str) -> None:
    answer = predict(app, params={"top": top}, content=plain(1), headers=RAW)
    assert "whole number" in error_of(answer, 400, "bad_top")


def test_empty_body(app: FastAPI) -> None:
    assert "no body" in error_of(predict(app, headers=RAW), 400, "empty")


def test_not_a_picture(app: FastAPI) -> None:
    message = error_of(predict(app, content=b"%PDF", headers=RAW), 400, "bad_image")
    assert "not an image (allowed: JPEG" in message


def test_truncated_picture(app: FastAPI) -> None:
    error_of(predict(app, content=plain(9)[:-30], headers=RAW), 400, "bad_image")


def test_unknown_media_type(app: FastAPI) -> None:
    answer = predict(app, content=b"x", headers={"Content-Type": "text/plain"})
    assert "multipart/form-data" in error_of(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body", ["", "[1]", "{", '{"picture": "x"}', '{"image": 5}', '{"image": "", "top": 0}']
)
def test_bad_json(app: FastAPI, body: str) -> None:
    answer = predict(app, content=body or "null", headers={"Content-Type": "application/json"})
    assert '"image": "<base64>"' in error_of(answer, 400, "bad_json")


def test_bad_base64(app: FastAPI) -> None:
    error_of(predict(app, json={"image": "!!"}), 400, "bad_base64")
    error_of(predict(app, json={"image": ""}), 400, "empty")


def test_form_without_a_file(app: FastAPI) -> None:
    no_file = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    assert "no file" in error_of(predict(app, content=body, headers=no_file), 400, "no_file")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_broken_form(app: FastAPI, kind: str) -> None:
    answer = predict(app, content=b"garbage", headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("bad_form", "no_file")


@pytest.mark.parametrize(
    "kind", ["image/png", "application/json", "multipart/form-data; boundary=x"]
)
def test_too_large_is_seen_in_the_header(app: FastAPI, kind: str) -> None:
    headers = {"Content-Type": kind, "Content-Length": str(MAX_BODY_BYTES + 1)}
    answer = predict(app, content=b"", headers=headers)
    assert "larger than 20 MiB" in error_of(answer, 413, "too_large")


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
def test_too_large_is_seen_while_it_streams(app: FastAPI, kind: str) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        while True:
            read += 2**20
            yield bytes(2**20)

    error_of(predict(app, content=endless(), headers={"Content-Type": kind}), 413, "too_large")
    assert read <= MAX_BODY_BYTES + 2 * 2**20


def test_request_id_is_the_callers_where_sane(app: FastAPI) -> None:
    assert ask(app, "GET", "/healthz", headers={"X-Request-ID": "a.b-1"}).headers[
        "X-Request-ID"
    ] == ("a.b-1")
    for bad in ("<script>", "x" * 65, 'a"b'):
        given = ask(app, "GET", "/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert len(given) == 32


def test_unknown_path_and_method_are_errors_of_the_same_shape(app: FastAPI) -> None:
    error_of(ask(app, "GET", "/nope"), 404, "not_found")
    answer = ask(app, "GET", "/v1/predict")
    error_of(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


def test_a_defect_is_500_without_its_secrets(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(codec, "rank_labels", fail)
    answer = predict(app, content=plain(1), headers=RAW)
    assert "secret" not in error_of(answer, 500, "internal")


def test_many_at_once_are_all_answered_rightly(app: FastAPI) -> None:
    async def call() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asked = [
                client.post("/v1/predict", content=plain(255 * (i % 2)), headers=RAW)
                for i in range(24)
            ]
            return list(await asyncio.gather(*asked))

    for i, answer in enumerate(asyncio.run(call())):
        assert answer.json()["results"][0]["label"] == LABELS[1 - i % 2]


def test_health_model_and_metrics(app: FastAPI) -> None:
    predict(app, content=plain(1), headers=RAW)
    predict(app, content=b"x", headers=RAW)
    ask(app, "GET", "/secret-path")
    assert ask(app, "GET", "/healthz").json() == {
        "status": "ok",
        "deployment": "brightness",
        "version": 3,
    }
    assert ask(app, "GET", "/v1/model").json()["classes"] == list(LABELS)
    metrics = ask(app, "GET", "/metrics").text
    assert 'modelmill_requests_total{path="/v1/predict",status="200"} 1.0' in metrics
    assert 'modelmill_requests_total{path="/v1/predict",status="400"} 1.0' in metrics
    assert 'modelmill_requests_total{path="other",status="404"} 1.0' in metrics
    assert 'modelmill_request_seconds_count{path="/v1/predict"} 2.0' in metrics
    assert "secret-path" not in metrics
    assert "modelmill_decode_seconds_count 1.0" in metrics
    assert "modelmill_batch_pictures_sum 1.0" in metrics
    assert "modelmill_pictures_in_work 0.0" in metrics
    assert 'modelmill_predictions_total{label="键盘"} 1.0' in metrics


def test_openapi_describes_the_three_bodies(app: FastAPI) -> None:
    described = ask(app, "GET", "/openapi.json").json()["paths"]["/v1/predict"]["post"]
    assert set(described["requestBody"]["content"]) == {
        "image/*",
        "application/octet-stream",
        "multipart/form-data",
        "application/json",
    }
    assert {"200", "400", "413", "415", "503"} <= set(described["responses"])
    assert json.dumps(described).count("example")


def test_page_runs_only_its_own_script(app: FastAPI) -> None:
    page = ask(app, "GET", "/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert "http" not in page.text.replace("http://HOST:PORT", "")


def test_bad_bundle_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadBundleError):
        create_app(tmp_path, "brightness", 1)
