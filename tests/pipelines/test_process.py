"""Ending process groups, on real processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.process import end_group, is_group_alive, tie_to_parent

# Each says `ready` once it stands as described, and would run for a minute.
POLITE = "echo ready; sleep 60 & wait"
STUBBORN_CHILD = "(trap '' TERM; echo ready; exec sleep 60) & wait"
ODD_NAME = "printf 'x) Z 1 1' > /proc/$$/comm; echo ready; sleep 60 & wait"
PARENT = """
import subprocess
from pipelines.process import tie_to_parent
child = subprocess.Popen(tie_to_parent(["sh", "-c", "echo ready; exec sleep 60"]))
child.wait()
"""
Start = Callable[[list[str]], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program as the leader of its own group, and wait until it is ready."""
    started: list[subprocess.Popen[str]] = []

    def begin(argv: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, start_new_session=True, bufsize=1
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_until_gone(group: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_group_alive(group) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_group_alive(group)


def test_polite_group_ends_before_the_grace_time_is_over(start: Start) -> None:
    process = start(["sh", "-c", POLITE])
    begin = time.monotonic()
    end_group(process.pid, grace_s=50)
    assert time.monotonic() - begin < 25
    assert process.wait() == -signal.SIGTERM
    assert not is_group_alive(process.pid)


def test_child_that_ignores_sigterm_is_killed(start: Start) -> None:
    process = start(["sh", "-c", STUBBORN_CHILD])
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert is_group_alive(process.pid)  # the leader is gone, its child is not
    begin = time.monotonic()
    end_group(process.pid, grace_s=0.3)
    assert time.monotonic() - begin >= 0.3
    assert not is_group_alive(process.pid)


def test_group_that_has_ended_is_no_error(start: Start) -> None:
    process = start(["sh", "-c", "echo ready"])
    process.wait()
    end_group(process.pid)
    assert not is_group_alive(process.pid)


def test_unreaped_process_does_not_count(start: Start) -> None:
    process = start(["sh", "-c", "echo ready"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)  # still there, as a zombie
    assert not is_group_alive(process.pid)


def test_other_groups_do_not_count(start: Start) -> None:
    one, other = start(["sh", "-c", POLITE]), start(["sh", "-c", POLITE])
    end_group(one.pid)
    assert not is_group_alive(one.pid)
    assert is_group_alive(other.pid)


def test_name_that_looks_like_a_state_deceives_nobody(start: Start) -> None:
    process = start(["sh", "-c", ODD_NAME])
    assert is_group_alive(process.pid)


def test_name_cut_inside_a_letter_is_no_error(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel cuts names after 15 bytes, so they need not be UTF-8."""
    process = start(["sh", "-c", POLITE])
    stat = tmp_path / "stat"
    text = Path(f"/proc/{process.pid}/stat").read_bytes()
    stat.write_bytes(text.replace(b"(sh)", b"(" + "a训练模型服务".encode()[:15] + b")"))

    def open_instead(path: str, *options: Any, **more: Any) -> Any:
        return open(stat if path == f"/proc/{process.pid}/stat" else path, *options, **more)  # noqa: PTH123

    # No process really gets this name: it would break the same look of whatever else runs here.
    monkeypatch.setattr("pipelines.process.open", open_instead, raising=False)
    assert is_group_alive(process.pid)


def test_listing_of_processes_is_closed() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert is_group_alive(os.getpgrp())
    assert [str(one.message) for one in caught] == []


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv on this machine")
def test_tied_child_ends_with_a_parent_that_is_killed(start: Start) -> None:
    process = start([sys.executable, "-c", PARENT])
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert wait_until_gone(process.pid, 10)


def test_without_setpriv_the_command_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert tie_to_parent(["sleep", "1"]) == ["sleep", "1"]
