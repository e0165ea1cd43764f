"""What is left after the worst: kill -9 in the middle, and an orderly end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from pipelines.local.second_home import make_environment
from pipelines.settings import read_settings
from tests.integration.pictures import write_pictures
from tests.integration.stack import Stack

Found = TypeVar("Found")


def processes_of(home: Path, *words: str) -> list[int]:
    """Ids of the processes that carry this home in their environment and these words in argv."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"MODELMILL_HOME={home}".encode() in environment and all(
            word.encode() in command for word in words
        ):
            found.append(int(entry.name))
    return found


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for(check: Callable[[], Found | None], seconds: float) -> Found:
    """Poll until something true comes back."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing came within {seconds} s")


def test_killed_rank_is_retried_to_the_same_model(stack: Stack, pictures: Path) -> None:
    # One trial: a search that several processes share is the same again only so.
    form = ["--no-deploy", "--max-trials", "1", "--budget-minutes", "1"]
    home = stack.settings.home
    # Two datasets of the same pictures: a second training on one would not be done at all.
    for dataset in ("whole", "killed"):
        stack.json("import", str(pictures), "--dataset", dataset)
    whole = stack.json("train", "--dataset", "whole", *form, "--wait")
    started = subprocess.Popen(
        [*launch(), "train", "--dataset", "killed", *form, "--wait", "--json"],
        env=dict(stack.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    ranks = wait_for(
        lambda: checkpoints(home) and processes_of(home, "training/main.py", "--spec"), 300
    )
    assert isinstance(ranks, list)
    kill_all(ranks[-1:])
    again, _ = started.communicate(timeout=600)
    assert started.returncode == 0
    assert whole["weights_sha256"] in again
    replayed = stack.json("train", "--replay", whole["run_id"])
    assert replayed["same"]
    assert (replayed["weights_sha256"], replayed["differences"]) == (whole["weights_sha256"], [])


def launch() -> list[str]:
    return [str(Path(__file__).parents[2] / "modelmill")]


def checkpoints(home: Path) -> list[Path]:
    return [path for path in (home / "scratch").glob("*/train/**/*") if path.suffix == ".npz"]


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="mm-own-"))
    one = Stack(make_environment(home, read_settings().home, os.environ))
    try:
        one.run("up")
        yield one
    finally:
        one.run("down", check=False)
        shutil.rmtree(home, ignore_errors=True)


def test_a_run_survives_cancel_and_the_machines_end_and_down_leaves_nothing(
    own_stack: Stack, tmp_path: Path
) -> None:
    write_pictures(tmp_path, ["a", "b"], per_class=16)
    added = own_stack.json("import", str(tmp_path), "--dataset", "kept")["added"]
    home = own_stack.settings.home
    form = ["--no-deploy", "--max-trials", "1", "--budget-minutes", "1"]
    run_id = own_stack.json("train", "--dataset", "kept", *form)["run_id"]
    wait_for(lambda: processes_of(home, "training/main.py"), 300)
    own_stack.run("cancel", run_id)
    wait_for(lambda: not processes_of(home, "training/main.py"), 10)
    assert not list_models(own_stack)
    own_stack.run("resume", run_id)
    wait_for(lambda: checkpoints(home), 300)
    # As the machine's own end: the scheduler, the ranks, the databases, all at once.
    kill_all(processes_of(home))
    wait_for(lambda: not processes_of(home), 30)
    own_stack.run("up")
    again = own_stack.json("import", str(tmp_path), "--dataset", "kept")
    assert (again["added"], again["already_there"]) == (0, added)
    state, reason = wait_for(lambda: find_ended(own_stack, run_id), 600)
    assert state == "success", "\n".join([reason, *read_tries(home)])
    replayed = own_stack.json("train", "--replay", run_id)
    assert (replayed["same"], replayed["differences"]) == (True, [])
    own_stack.run("down")
    assert processes_of(home) == []


def read_tries(home: Path) -> list[str]:
    """How each try of the training ended."""
    logs = (home / "log" / "tasks").rglob("task_id=train/*.log")
    return [f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(logs)]


def list_models(stack: Stack) -> list[object]:
    """What MLflow's registry knows."""
    address = stack.settings.mlflow_address + "/api/2.0/mlflow/registered-models/search"
    models: list[object] = httpx.get(address).json().get("registered_models", [])
    return models


def find_ended(stack: Stack, run_id: str) -> tuple[str, str] | None:
    """Its state and what is said of it, once it has ended."""
    (run,) = (one for one in stack.json("runs")["runs"] if one["run_id"] == run_id)
    return None if run["state"] == "running" else (run["state"], run["reason"])
