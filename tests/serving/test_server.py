"""The server as a process, from the very files that the image gets."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from serving.environment import find_free_port
from serving.image import list_server_files
from serving.last_words import read_last_words
from serving.smoke import ServeError, check_answers, wait_ready
from serving.spec import SmokeSamples
from tests.serving.tiny import make_samples, plain

LOG = "server.log"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    for name, source in list_server_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / name)
    return folder


def start(code: Path, bundle: Path, port: int, **variables: str) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code), **variables}
    argv = [sys.executable, "-m", "serving.server", "--bundle", str(bundle), "--port", str(port)]
    # A file, not a pipe: a full pipe that nobody reads stops the server at its next log line.
    with (code / LOG).open("wb") as log:
        return subprocess.Popen(argv, cwd=code, env=environment, stdout=log, stderr=log)


def read_log(code: Path, process: subprocess.Popen[bytes], seconds: float = 20) -> str:
    """All that the server said, once it has ended."""
    process.wait(seconds)
    return (code / LOG).read_text()


def test_image_files_serve_and_end_gracefully(code: Path, bundle: Path) -> None:
    port = find_free_port()
    names = {"MODELMILL_DEPLOYMENT": "brightness", "MODELMILL_VERSION": "4"}
    process = start(code, bundle, port, **names)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_ready(address, "brightness", 4, lambda: None if process.poll() is None else "ended")
        check_answers(address, make_samples("bright", "dark"))
        with pytest.raises(ServeError, match="is 'bright' to the server, and was 'dark'"):
            check_answers(address, make_samples("dark", "dark"))
        with pytest.raises(ServeError, match="no smoke samples"):
            check_answers(address, SmokeSamples(samples=()))
        requests.get(f"{address}/v1/model", headers={"X-Request-ID": "mine"}, timeout=5)
    finally:
        process.send_signal(signal.SIGTERM)
        output = read_log(code, process)
    assert '"request_id": "mine"' in output
    assert "Application shutdown complete" in output
    assert "Traceback" not in output


def read_lines(output: str) -> list[dict[str, object]]:
    """The server's log: every line is one JSON object."""
    return [json.loads(line) for line in output.splitlines()]


def test_sigterm_finishes_what_was_taken(code: Path, bundle: Path) -> None:
    port = find_free_port()
    names = {"MODELMILL_DEPLOYMENT": "brightness", "MODELMILL_VERSION": "4"}
    process = start(code, bundle, port, **names, MODELMILL_SERVE_DRAIN_SECONDS="1")
    address = f"http://127.0.0.1:{port}"
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(plain(255))}\r\n\r\n"
    try:
        wait_ready(address, "brightness", 4, lambda: None if process.poll() is None else "ended")
        with socket.create_connection(("127.0.0.1", port)) as begun:
            begun.sendall(head.encode() + plain(255)[:10])
            process.send_signal(signal.SIGTERM)
            while requests.get(f"{address}/readyz", timeout=5).status_code == 200:
                time.sleep(0.01)
            assert requests.get(f"{address}/livez", timeout=5).status_code == 200
            with pytest.raises(ServeError, match=r"was not answered: |did not say what"):
                while True:
                    check_answers(address, make_samples("bright", "dark"))
            begun.sendall(plain(255)[10:])
            # "Connection: close": what comes ends where the server hangs up.
            answer = b"".join(iter(lambda: begun.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"bright"' in answer
    finally:
        output = read_log(code, process)
    lines = read_lines(output)
    assert [one["path"] for one in lines if one.get("status") == 200][-1] == "/v1/predict"
    last = next(one for one in reversed(lines) if "status" in one)
    assert set(last) == {"time", "level", "request_id", "method", "path", "status", "ms"}


def test_wrong_version_on_the_port_is_not_ready(code: Path, bundle: Path) -> None:
    port = find_free_port()
    names = {"MODELMILL_DEPLOYMENT": "brightness", "MODELMILL_VERSION": "4"}
    process = start(code, bundle, port, **names)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_ready(address, "brightness", 4, lambda: None)
        with pytest.raises(ServeError, match="version 5 ended while starting: gone"):
            wait_ready(address, "brightness", 5, lambda: "gone")
    finally:
        process.kill()
        process.wait()


def test_what_keeps_it_from_starting_is_a_line_of_the_log(code: Path, bundle: Path) -> None:
    (bundle / "in the way").touch()
    broken = shutil.copytree(bundle, bundle.with_name("broken"))
    (broken / "model.onnx").unlink()
    keep = {
        "MODELMILL_KEEP_REQUESTS": "1",
        "MODELMILL_KEEP_FOLDER": str(bundle / "in the way" / "kept"),
    }
    port = find_free_port()
    cases: tuple[tuple[Path, dict[str, str], str], ...] = (
        (broken, {}, "holds no model.onnx"),
        (bundle, {"MODELMILL_SERVE_MAX_BATCH": "many"}, "MODELMILL_SERVE_MAX_BATCH='many'"),
        (bundle, keep, "in the way/kept'"),
    )
    for folder, variables, said in cases:
        names = {"MODELMILL_DEPLOYMENT": "brightness", "MODELMILL_VERSION": "4"}
        output = read_log(code, start(code, folder, port, **names, **variables), 60)
        (line,) = read_lines(output)
        assert (set(line), line["level"]) == ({"time", "level", "message"}, "ERROR")
        assert str(line["message"]).startswith("The server cannot start: ")
        assert said in str(line["message"])
        assert read_last_words(output) == line["message"]


def test_a_port_that_is_taken_is_lines_of_the_log(code: Path, bundle: Path) -> None:
    names = {"MODELMILL_DEPLOYMENT": "brightness", "MODELMILL_VERSION": "4"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(code, bundle, taken.getsockname()[1], **names)
        output = read_log(code, process, 60)
    assert process.returncode != 0
    errors = [one for one in read_lines(output) if one["level"] == "ERROR"]
    assert "address already in use" in str(errors[0]["message"])


def test_last_words_are_for_people() -> None:
    lines = [
        '{"level": "ERROR", "message": "no", "trace": "line 1\\nline 2"}',
        "[alert] haproxy",
        "7",
    ]
    assert read_last_words("\n".join(lines)) == "no\nline 1\nline 2\n[alert] haproxy\n7"
    request = '{"time": "now", "status": 200}'
    assert read_last_words(f"{request}\n") == request
    assert read_last_words("\n") == ""
