"""The first machine's watch, on the launcher's own store."""

import threading
import time
from collections.abc import Callable
from unittest import mock

import httpx
import pytest

from pipelines.nodes import watch
from pipelines.nodes.board import Board, Call, Report
from pipelines.nodes.watch import Watch
from serving.job.errors import ServiceError, UserError

WAIT_S = 20.0


class Job:
    """Whether the processes were ended, and what people were told."""

    def __init__(self) -> None:
        self.ended, self.said = threading.Event(), list[str]()

    def watch(self, call: Call, master: str) -> Watch:
        return Watch(call, master, end=self.ended.set, say=self.said.append)


def wait_for(found: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def wait_for_call(board: Board, call: Call) -> None:
    wait_for(lambda: board.read_call() == call)


def test_a_machine_that_falls_silent_ends_the_try(launcher: str, call: Call) -> None:
    job, board = Job(), Board(launcher)
    with mock.patch.object(watch, "LOST_SECONDS", 2.0), job.watch(call, launcher) as over:
        wait_for_call(board, call)
        board.write_report(1, Report(token="a"))
        assert job.ended.wait(WAIT_S)
    assert isinstance(over.problem, ServiceError)
    assert "Machine 1 has said nothing for 2 s" in str(over.problem)
    assert job.said == ["Calling 1 more of 2 machines.", "2 of 2 machines are here."]


def test_one_that_has_ended_well_may_be_silent(launcher: str, call: Call) -> None:
    job, board = Job(), Board(launcher)
    with mock.patch.object(watch, "LOST_SECONDS", 0.5), job.watch(call, launcher) as over:
        wait_for_call(board, call)
        board.write_report(1, Report(token="a", ended=True))
        assert not job.ended.wait(3.0)
    assert over.problem is None


@pytest.mark.parametrize(("mendable", "kind"), [(True, UserError), (False, ServiceError)])
def test_what_a_machine_says_is_said_here(
    launcher: str, call: Call, *, mendable: bool, kind: type[Exception]
) -> None:
    job, board = Job(), Board(launcher)
    with job.watch(call, launcher) as over:
        wait_for_call(board, call)
        board.write_report(1, Report(token="a", problem="no card was found.", mendable=mendable))
        assert job.ended.wait(WAIT_S)
    assert type(over.problem) is kind
    assert "Machine 1 does not take part: no card was found." in str(over.problem)


def test_one_that_does_not_come_is_not_waited_for_for_ever(launcher: str, call: Call) -> None:
    job = Job()
    three = call.model_copy(update={"nodes": 9})
    with mock.patch.object(watch, "JOIN_SECONDS", 0.5), job.watch(three, launcher) as over:
        assert job.ended.wait(WAIT_S)
    assert isinstance(over.problem, UserError)
    assert "of 9 machines came within" in str(over.problem)
    assert f"./modelmill node --master {launcher} --rank NUMBER" in str(over.problem)


@pytest.mark.parametrize("text", [b'{"token": "a", "of": "another version"}', b"[]"])
def test_what_another_version_says_ends_the_training(
    launcher: str, call: Call, *, text: bytes
) -> None:
    job = Job()
    with job.watch(call, launcher) as over:
        httpx.put(f"http://{launcher}/modelmill/reports/1", content=text)
        assert job.ended.wait(WAIT_S)
    assert isinstance(over.problem, UserError)
    assert "Machine 1 runs another version of modelmill" in str(over.problem)


def test_no_training_goes_on_unwatched(launcher: str, call: Call) -> None:
    job = Job()
    with (
        mock.patch.object(Board, "read_reports", side_effect=KeyError("a defect")),
        job.watch(call, launcher) as over,
    ):
        assert job.ended.wait(WAIT_S)
    assert isinstance(over.problem, ServiceError)
    assert "KeyError('a defect')" in str(over.problem)


def test_a_machine_too_many_is_not_heard(launcher: str, call: Call) -> None:
    job, board = Job(), Board(launcher)
    with job.watch(call, launcher) as over:
        wait_for_call(board, call)
        board.write_report(2, Report(token="b", problem="allowed are 1 to 1.", mendable=True))
        httpx.put(f"http://{launcher}/modelmill/reports/none", content=b"[]")
        assert not job.ended.wait(1.0)
        assert job.said == ["Calling 1 more of 2 machines."]
        board.write_report(1, Report(token="a"))
        wait_for(lambda: job.said[1:] == ["2 of 2 machines are here."])
    assert over.problem is None
