"""What another machine says instead of training along, on the launcher's own store."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from pipelines.commands import Command
from pipelines.context import Installation, make_installation
from pipelines.local.layout import REPO
from pipelines.local.second_home import find_free_ports
from pipelines.nodes import node as module
from pipelines.nodes.board import Board, Call, Report, SilentError
from pipelines.nodes.node import Node, TakenError
from pipelines.settings import Settings
from serving.job.errors import ServiceError, UserError
from tests.pipelines.nodes.conftest import JOBS

NUMBER = 1


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    home = tmp_path / "home"
    home.mkdir()
    (home / "venvs").symlink_to(JOBS.parent)
    return make_installation(Settings(home=home))


def serve(installation: Installation, launcher: str, number: int = NUMBER) -> tuple[bool, str]:
    said: list[str] = []
    with mock.patch.object(module, "GRACE_SECONDS", 0.0):
        well = Node(installation, launcher, number, said.append).serve(once=True)
    return well, said[-1]


@pytest.mark.parametrize(
    ("number", "changes", "sentence"),
    [
        (2, {"code_version": "0"}, "the first machine's 0: bring both to the same one"),
        (2, {"paddle": "2.6.2"}, "version of PaddlePaddle is"),
        (2, {"kind": "gpu"}, "devices was 'gpu', but"),
        (5, {}, "allowed are 1 to 3"),
    ],
)
def test_what_does_not_fit_is_said_on_both_machines(
    launcher: str,
    call: Call,
    installation: Installation,
    *,
    number: int,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    board = Board(launcher)
    board.write_call(call.model_copy(update={"nodes": 4, **changes}))
    well, last = serve(installation, launcher, number)
    assert not well
    assert sentence in last
    report = board.read_reports([number])[number]
    assert report.mendable
    assert sentence in report.problem


def test_stores_out_of_reach_are_said(
    launcher: str, call: Call, installation: Installation
) -> None:
    spec = call.spec.model_copy(update={"labels_uri": "hdfs://first:8020/labels"})
    Board(launcher).write_call(call.model_copy(update={"spec": spec}))
    well, last = serve(installation, launcher)
    assert not well
    assert "It cannot read HDFS at http://127.0.0.1:1" in last


def test_another_machine_with_the_same_number_is_left_alone(
    launcher: str, call: Call, installation: Installation
) -> None:
    board = Board(launcher)
    board.write_call(call)
    beats = [Report(token="a", beat=beat) for beat in (1, 2)]
    with (
        mock.patch.object(Node, "_read_own", side_effect=beats),
        mock.patch.object(module, "LOOK_SECONDS", 0.0),
        pytest.raises(TakenError, match="Another machine takes part as --rank 1"),
    ):
        Node(installation, launcher, NUMBER, print).serve(once=True)


def test_a_machine_that_was_started_anew_says_so(
    launcher: str, call: Call, installation: Installation
) -> None:
    board = Board(launcher)
    board.write_call(call)
    board.write_report(NUMBER, Report(token="a", beat=7))
    with mock.patch.object(module, "LOOK_SECONDS", 0.0):
        well, last = serve(installation, launcher)
    assert not well
    assert "started anew" in last
    report = board.read_reports([NUMBER])[NUMBER]
    assert not report.mendable
    assert "started anew" in report.problem


def test_whoever_ends_the_command_finds_its_disk_empty(tmp_path: Path) -> None:
    nodes, port = tmp_path / "scratch" / "nodes", find_free_ports(1)[0]
    scratch, of_another = nodes / f"1-of-127.0.0.1-{port}", nodes / "1-of-10.0.0.1-7100"
    for folder in (scratch, of_another):
        (folder / "a run").mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "pipelines.cli", "node", "--rank", "1"],
        env={
            **{name: value for name, value in os.environ.items() if "MODELMILL" not in name},
            "PYTHONPATH": str(REPO),
            "MODELMILL_HOME": str(tmp_path),
            "MODELMILL_TRAIN_MASTER": f"127.0.0.1:{port}",
        },
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "Waiting for a training" in process.stderr.readline()
        process.terminate()
    assert process.returncode == 1
    assert not scratch.exists()
    # Which may train just now.
    assert (of_another / "a run").is_dir()


def test_another_versions_call_is_refused_once(launcher: str, installation: Installation) -> None:
    httpx.put(f"http://{launcher}/modelmill/call", content=b'{"of": "another version"}')
    said: list[str] = []
    looks = (None, None, KeyboardInterrupt)
    with (
        mock.patch.object(time, "sleep", side_effect=looks),
        pytest.raises(KeyboardInterrupt),
    ):
        Node(installation, launcher, NUMBER, said.append).serve(once=True)
    assert [line for line in said if "another version of modelmill" in line] == said[1:]
    assert len(said) == 2
    report = Board(launcher).read_reports([NUMBER])[NUMBER]
    assert report.mendable
    assert "another version of modelmill" in report.problem


@pytest.fixture
def lent(launcher: str, call: Call, installation: Installation) -> Iterator[Node]:
    """A machine that waits for this call, and starts processes that end well by themselves."""
    Board(launcher).write_call(call)
    command = Command(argv=("sleep", "1"))
    with mock.patch.object(Node, "_prepare", return_value=(command, dict(os.environ))):
        yield Node(installation, launcher, NUMBER, print)


def test_its_last_word_is_said_until_it_is_heard(launcher: str, lent: Node) -> None:
    write = Board.write_report
    failures = iter([SilentError("a timeout")] * 2)

    def write_at_last(board: Board, node: int, report: Report) -> None:
        failure = next(failures, None) if report.ended else None
        if failure is not None:
            raise failure
        write(board, node, report)

    with mock.patch.object(Board, "write_report", write_at_last):
        assert lent.serve(once=True)
    assert Board(launcher).read_reports([NUMBER])[NUMBER].ended


@pytest.mark.parametrize("run_id", ["../../kept", "a/b", "..", ""])
def test_nobody_makes_it_write_or_remove_elsewhere(
    launcher: str, call: Call, installation: Installation, *, run_id: str
) -> None:
    kept = installation.layout.scratch / "kept"
    kept.mkdir(parents=True)
    before = sorted(installation.layout.home.rglob("*"))
    spec = call.spec.model_copy(update={"run_id": run_id})
    Board(launcher).write_call(call.model_copy(update={"spec": spec}))
    with mock.patch.object(module, "launch_training", side_effect=UserError("it would start")):
        well, last = serve(installation, launcher)
    assert not well
    assert f"{run_id!r} is no id of a run" in last
    assert sorted(installation.layout.home.rglob("*")) == before


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "/disk"), ServiceError("HDFS is down.")]
)
def test_what_fails_here_is_said_on_both_machines(
    launcher: str, call: Call, installation: Installation, *, error: Exception
) -> None:
    board = Board(launcher)
    board.write_call(call)
    with mock.patch.object(module, "launch_training", side_effect=error):
        well, last = serve(installation, launcher)
    assert not well
    assert last == f"This training is over: {error}"
    report = board.read_reports([NUMBER])[NUMBER]
    assert (report.problem, report.mendable) == (str(error), False)


@pytest.mark.parametrize("text", [b'["a list"]', b'"a text"'])
def test_another_programs_answer_is_no_training(launcher: str, text: bytes) -> None:
    answer = httpx.Response(200, content=text)
    with (
        mock.patch.object(httpx.Client, "get", return_value=answer),
        pytest.raises(UserError, match=f"At {launcher} another program answers"),
    ):
        Board(launcher).read_call()


def test_of_two_that_begin_together_one_stays(launcher: str, lent: Node) -> None:
    board = Board(launcher)
    with mock.patch.object(Node, "_look_back", return_value=""):
        board.write_report(NUMBER, Report(token="other", beat=3))
        with pytest.raises(TakenError, match="Another machine takes part as --rank 1"):
            lent.serve(once=True)
    assert board.read_reports([NUMBER])[NUMBER].token == "other"


def test_one_that_refuses_has_not_taken_its_place(launcher: str, lent: Node) -> None:
    with mock.patch.object(Node, "_look_back", return_value=""):
        Board(launcher).write_report(NUMBER, Report(token="other", problem="another version"))
        assert lent.serve(once=True)
