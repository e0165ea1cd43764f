"""./modelmill predict: real model servers, in the jobs' own environment."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.local.layout import REPO
from tests.pipelines.conftest import Run, make_png

WRITE = "import sys; from pathlib import Path; from tests.serving import tiny; "
ONE = WRITE + "tiny.write_bundle(Path(sys.argv[1]))"
SEVERAL = WRITE + "tiny.write_several_bundle(Path(sys.argv[1]), (0.75, 0.3))"


@pytest.fixture
def served(
    request: pytest.FixtureRequest, home: Path, database: Any, dataset: str, tmp_path: Path
) -> Iterator[str]:
    """The deployment; its parameter writes the bundle."""
    bundle, python = tmp_path / "bundle", home / "venvs" / "jobs" / "bin" / "python"
    subprocess.run([python, "-c", request.param, bundle], cwd=REPO, check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    named = [
        "--deployment",
        dataset,
        "--version",
        "3",
        "--bundle",
        str(bundle),
        "--port",
        str(port),
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "serving.server", *named], cwd=REPO, stdout=log, stderr=log
        )
    fields = {"version": 3, "image_tag": "", "port": port, "generation": 1}
    database["deployments"].insert_one({"_id": dataset, "bundle_uri": bundle.as_uri(), **fields})
    for name, level in (("grey", 140), ("bright", 255), ("dim", 155)):
        (tmp_path / f"{name}.png").write_bytes(make_png(level))
    try:
        while not _is_ready(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield dataset
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx.ConnectError:
        return False


@pytest.mark.parametrize("served", [SEVERAL], indirect=True)
def test_several_labels_come_before_the_scores(run: Run, served: str, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{name}.png") for name in ("bright", "grey", "dim")]
    done = run("predict", "--deployment", served, *names)
    assert done.code == 0, done.err
    lines = [line.split(": ", 1)[1] for line in done.out.splitlines()]
    assert lines[0].startswith("bright (bright 0.98")
    assert lines[1].startswith("dark (bright 0.60")
    assert lines[2].startswith("none of these (bright 0.7")
    answer = json.loads(run("predict", "--deployment", served, names[1], "--json").out)
    (one,) = answer["predictions"]
    assert one["labels"] == ["dark"]
    assert set(one) == {"file", "labels", "results", "error"}


@pytest.mark.parametrize("served", [ONE], indirect=True)
def test_one_label_is_its_scores(run: Run, served: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("buy milk")
    names = [str(tmp_path / name) for name in ("grey.png", "note.txt")]
    done = run("predict", "--deployment", served, *names)
    assert done.code == 1
    first, second = done.out.splitlines()
    assert first.startswith(f"{names[0]}: bright 0.69")
    assert "not an image" in second
