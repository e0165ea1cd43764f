"""The server as a process, from the very files that the image gets."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from serving.environment import find_free_port
from serving.image import list_server_files
from serving.smoke import ServeError, check_answers, wait_ready
from serving.spec import SmokeSamples
from tests.serving.tiny import make_samples


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    for name, source in list_server_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / name)
    return folder


def start(code: Path, bundle: Path, port: int, **variables: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code), **variables}
    argv = [sys.executable, "-m", "serving.server", "--bundle", str(bundle), "--port", str(port)]
    return subprocess.Popen(
        argv,
        cwd=code,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
        output, _ = process.communicate(timeout=20)
    assert '"request_id": "mine"' in output
    assert "Application shutdown complete" in output
    assert "Traceback" not in output


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
        process.communicate()


def test_bad_bundle_is_one_line(code: Path, bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    names = {"MODELMILL_DEPLOYMENT": "brightness", "MODELMILL_VERSION": "4"}
    process = start(code, bundle, find_free_port(), **names)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.splitlines()[-1].endswith("holds no model.onnx")
