"""What a server takes on, and what it does with more."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serving import environment
from serving.app import create_app
from serving.batching import Row
from serving.cores import count_cores
from serving.limits import Limits, LimitsError, read_limits
from serving.pace import Pace
from serving.reconcile import FAILURES
from tests.serving.test_app import RAW, error_of, predict
from tests.serving.tiny import plain, write_bundle


def make(folder: Path, **limits: Any) -> FastAPI:
    return create_app(write_bundle(folder / "b"), "d", 1, Limits(**limits))


def test_limits_come_from_the_environment() -> None:
    given = {"MODELMILL_SERVE_MAX_BATCH": "7", "MODELMILL_SERVE_MAX_WAIT_MS": "", "PATH": "x"}
    assert read_limits(given) == Limits(max_batch=7)
    with pytest.raises(LimitsError, match="MODELMILL_SERVE_MAX_BATCH='0' cannot be used"):
        read_limits({"MODELMILL_SERVE_MAX_BATCH": "0"})


def test_a_bad_limit_is_said_before_a_server_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As what one deployment alone may fail with: the others are reconciled all the same."""
    monkeypatch.setenv("MODELMILL_SERVE_MAX_BATCH", "0")
    with pytest.raises(FAILURES, match=r"MODELMILL_SERVE_MAX_BATCH='0' .* unset it"):
        environment.server_settings()


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
)
def test_cores_are_those_of_the_quota(
    tmp_path: Path, files: dict[str, str], cores: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    everything = count_cores(tmp_path / "nothing")
    assert count_cores(tmp_path) == (everything if cores is None else min(cores, everything))


def test_too_many_pixels(tmp_path: Path) -> None:
    app = make(tmp_path, max_pixels=40 * 30 - 1)
    message = error_of(predict(app, content=plain(1), headers=RAW), 400, "bad_image")
    assert "40 × 30 pixels are more than 1,199 in all" in message
    assert predict(app, content=plain(1, (39, 30)), headers=RAW).status_code == 200


def test_a_body_that_never_ends_coming_is_408(tmp_path: Path) -> None:
    app = make(tmp_path, body_seconds=0.05)

    async def drip() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    for kind in ("image/png", "multipart/form-data; boundary=x", "application/json"):
        answer = predict(app, content=drip(), headers={"Content-Type": kind})
        assert "longer than 0.05 s" in error_of(answer, 408, "too_slow")


def test_compressed_bodies_are_refused(tmp_path: Path) -> None:
    headers = {**RAW, "Content-Encoding": "gzip"}
    answer = predict(make(tmp_path), content=b"x", headers=headers)
    error_of(answer, 415, "unsupported_encoding")


class StoppedNetwork:
    """Holds every answer back until it is let go."""

    def __init__(self, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        predictor = app.state.service.predictor
        inner = predictor._network.run

        def run(rows: Row) -> Row:
            assert self.gate.wait(20)
            answer: Row = inner(rows)
            return answer

        monkeypatch.setattr(predictor._network, "run", run)


def ask_many(app: FastAPI, gate: threading.Event, count: int) -> list[httpx.Response]:
    """Ask all at once; the gate opens once one has been sent away."""

    async def call() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def ask() -> httpx.Response:
                answer = await client.post("/v1/predict", content=plain(1), headers=RAW)
                if answer.status_code == 503:
                    gate.set()
                return answer

            return list(await asyncio.gather(*(ask() for _ in range(count))))

    return asyncio.run(call())


def test_more_than_the_queue_holds_is_sent_away_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.count_cores", lambda: 1)
    app = make(tmp_path, max_queue=3)
    network = StoppedNetwork(app, monkeypatch)
    answers = ask_many(app, network.gate, 8)
    refused = [one for one in answers if one.status_code != 200]
    assert len(refused) == 5
    for one in refused:
        error_of(one, 503, "busy")
        assert one.headers["Retry-After"] == "1"
    assert predict(app, content=plain(1), headers=RAW).status_code == 200


def test_a_full_server_refuses_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.app.count_cores", lambda: 1)
    app = make(tmp_path, max_queue=1)
    network = StoppedNetwork(app, monkeypatch)
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield plain(1)

    async def call() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first = asyncio.create_task(client.post("/", content=plain(1)))
            while app.state.service.find_refusal() is None:
                await asyncio.sleep(0.001)
            refused = [
                await client.post(path, content=body())
                for path in ("/v1/predict", "/", "/d/ImageClassification", "/v2/models/d/infer")
            ]
            health = await client.get("/readyz")
            metrics = await client.get("/metrics")
            network.gate.set()
            return [await first, health, metrics, *refused]

    first, health, metrics, native, *foreign = asyncio.run(call())
    assert (first.status_code, health.status_code) == (200, 200)
    assert "modelmill_refused_total 4.0" in metrics.text
    error_of(native, 503, "busy")
    assert [sorted(one.json())[-1] for one in foreign] == ["error_msg", "log_id", "error"]
    assert {one.headers["Retry-After"] for one in (native, *foreign)} == {"1"}
    assert not read


def test_waiting_too_long_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.app.count_cores", lambda: 1)
    app = make(tmp_path, answer_seconds=0.05, max_batch=1)
    network = StoppedNetwork(app, monkeypatch)
    threading.Timer(0.3, network.gate.set).start()
    answers = ask_many(app, threading.Event(), 3)
    assert sorted(one.status_code for one in answers) == [200, 503, 503]
    assert "waited longer than 0.05 s" in answers[-1].text


def test_bytes_of_all_requests_are_bounded(tmp_path: Path) -> None:
    app = make(tmp_path, max_bytes_held=2048)
    answer = predict(app, content=bytes(4096), headers=RAW)
    assert "large requests" in error_of(answer, 503, "busy")
    assert predict(app, content=plain(1), headers=RAW).status_code == 200


def test_open_requests_are_bounded(tmp_path: Path) -> None:
    app = make(tmp_path, max_readers=1)

    async def call() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            reading = asyncio.Event()
            go_on = asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                reading.set()
                await go_on.wait()
                yield plain(1)

            first = asyncio.create_task(client.post("/v1/predict", content=slow(), headers=RAW))
            await reading.wait()
            second = await client.post("/v1/predict", content=plain(1), headers=RAW)
            go_on.set()
            return await first, second

    first, second = asyncio.run(call())
    assert first.status_code == 200
    assert "1 requests are open" in error_of(second, 503, "busy")


def test_the_pace_is_that_of_the_last_pictures() -> None:
    pace = Pace()
    assert pace.expect(100) == 0
    pace.observe(0.5, ahead=4)
    assert pace.expect(9) == pytest.approx(1.0)
    pace.observe(5.0, ahead=0)
    assert 0.5 < pace.expect(0) < 0.7
    for _ in range(60):
        pace.observe(0.1, ahead=0)
    assert pace.expect(0) == pytest.approx(0.1, rel=0.05)


def test_who_would_wait_too_long_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.count_cores", lambda: 1)
    app = make(tmp_path, max_queue_seconds=0.05, max_batch=2)
    service = app.state.service
    service._pace.observe(0.03, ahead=0)
    assert service.find_refusal() is None
    with service._take(1):
        assert service.find_refusal() is None  # fewer than go through the network together
        with service._take(1):
            assert "would take 0.1 s" in service.find_refusal().message
    assert service.find_refusal() is None
