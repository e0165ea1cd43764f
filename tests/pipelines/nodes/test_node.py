"""What another machine says instead of training along, on the launcher's own store."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pipelines.context import Installation, make_installation
from pipelines.nodes import node as module
from pipelines.nodes.board import Board, Call, Report
from pipelines.nodes.node import Node, TakenError
from pipelines.settings import Settings
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
    report = board.read_reports()[number]
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
    report = board.read_reports()[NUMBER]
    assert not report.mendable
    assert "started anew" in report.problem
