"""How slow a new version may be: servers that really answer, and really take their time."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import publish as publishing
from serving import slowness
from serving.app import create_app
from serving.candidate import check_candidate, say_way_in
from serving.deploy import deploy
from serving.desired import DesiredState, read_desired
from serving.hosts import Served
from serving.job.errors import UserError
from serving.publish import publish
from serving.slowness import find_slowness
from serving.smoke import check_sense
from serving.spec import PublishSpec, Rollout
from tests.serving.rooms import Room
from tests.serving.running import run_server
from tests.serving.tiny import make_nan_network, make_slow_network, plain, write_bundle

PICTURES = (plain(0), plain(255))


class _Sleeper:
    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(self._seconds)
        await self._app(scope, receive, send)


@contextmanager
def serve(bundle: Path, seconds: float = 0.0) -> Iterator[str]:
    app = create_app(bundle, "d", 1)
    app.add_middleware(_Sleeper, seconds=seconds)
    with run_server(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[str]:
    with serve(write_bundle(tmp_path / "b")) as address:
        yield address


def test_a_version_that_sleeps_is_refused_with_both_times(quick: str, bundle: Path) -> None:
    """By so much that a busy machine does not hide it."""
    sentence = r"takes \d+\.\d+ s .* the version in service \d+\.\d+ s .* 5 times that or 0\.25 s\."
    with serve(bundle, 2.0) as slow:
        assert re.search(sentence, find_slowness(slow, quick, PICTURES))


def test_slower_is_taken_while_nobody_minds(
    quick: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many times slower, and still quick."""
    monkeypatch.setattr(slowness, "UNNOTICED_SECONDS", 10.0)
    with serve(bundle, 0.5) as slower:
        assert find_slowness(slower, quick, PICTURES) == ""


def test_beside_a_slow_version_more_is_taken(tmp_path: Path, bundle: Path) -> None:
    with serve(write_bundle(tmp_path / "b"), 0.3) as before, serve(bundle, 0.6) as slower:
        assert find_slowness(slower, before, PICTURES) == ""


def test_a_first_version_is_held_to_a_limit(
    quick: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_slowness(quick, None, PICTURES) == ""
    monkeypatch.setattr(slowness, "ALONE_SECONDS", 0.1)
    with serve(bundle, 0.2) as slow:
        assert "and 0.1 s is the most." in find_slowness(slow, None, PICTURES)


def test_a_version_in_service_that_answers_nonsense_stops_no_new_one(
    tmp_path: Path,
    quick: str,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor does it let a slow one in: that is held to the limit of a first version."""
    broken = write_bundle(tmp_path / "broken", network=make_nan_network())
    with serve(broken) as before, serve(bundle, 0.4) as slow:
        assert find_slowness(quick, before, PICTURES) == ""
        said = capsys.readouterr().out
        monkeypatch.setattr(slowness, "ALONE_SECONDS", 0.3)
        assert "0.3 s is the most" in find_slowness(slow, before, PICTURES)
    assert "The version in service cannot be timed beside it: " in said
    assert "500" in said


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_a_version_in_service_that_is_lost_stops_no_new_one(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = room.register(sign=1)
    deploy(spec)
    state = read_desired(room.database, room.deployment)
    assert state is not None
    lost = {"version": 99, "bundle_uri": (room.folder / "gone").as_uri()}
    served = Served(deployment=room.deployment, version=1, image_tag="", bundle_uri=spec.bundle_uri)
    check_candidate(served, check_sense, PICTURES, state.model_copy(update=lost))
    assert "Version 99 cannot be timed beside it: " in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_an_operator_lets_a_slow_version_in_and_the_history_shows_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slowness, "UNNOTICED_SECONDS", 0.0)
    monkeypatch.setattr(slowness, "SLOWER", 2.0)
    deploy(room.register(sign=1))
    room.register(sign=1, network=make_slow_network())
    spec = PublishSpec(
        output_uri=room.folder.as_uri(),
        action="promote",
        deployment=room.deployment,
        version=2,
        request_id="1",
        actor="ann",
        reason="the only one that knows moss",
    )
    command = rf"\./modelmill promote {room.deployment} 2 --allow-slow\.$"
    with pytest.raises(UserError, match=rf"what served before goes on.*{command}"):
        publish(spec)
    assert [one["action"] for one in room.events()] == ["deploy"]
    allowed = spec.model_copy(update={"allow_slow": True, "request_id": "2"})
    with monkeypatch.context() as killed, pytest.raises(ZeroDivisionError):
        # Between what it decides and what it writes down.
        killed.setattr(publishing, "record_event", lambda *_, **__: 1 // 0)
        publish(allowed)
    assert publish(allowed).version == 2
    event = room.events()[-1]
    assert (event["action"], event["who"], event["to_version"]) == ("promote", "ann", 2)
    sentence = r"moss The limit of slowness was lifted: it takes \d+\.\d+ s a picture .* times that"
    assert re.search(sentence, event["why"])


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_a_first_version_that_is_slow_is_not_told_to_be_promoted(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no deployment yet that it could be promoted to."""
    monkeypatch.setattr(slowness, "ALONE_SECONDS", 0.0)
    with pytest.raises(UserError, match=r"is the most\. Train with .* in the form\)\.$"):
        deploy(room.register(sign=1))


def test_the_way_in_is_one_that_leads_in() -> None:
    fields = {"image_tag": "boards:2", "bundle_uri": "file:///2"}
    served = Served(deployment="boards", version=2, **fields)
    state = DesiredState(deployment="boards", version=1, generation=1, port=1, **fields)
    promote = "./modelmill promote boards 2 --allow-slow."
    assert say_way_in(served, state).endswith(f"all the same: {promote}")
    canary = state.model_copy(update={"rollout": Rollout(canary_percent=10)})
    wanted = f"./modelmill deploy boards --set canary_percent=0 and then {promote}"
    assert say_way_in(served, canary).endswith(wanted)
    assert "promote" not in say_way_in(served, None)
