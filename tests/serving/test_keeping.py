"""Requests kept for review, and what callers say of them."""

import json
import time
from pathlib import Path

import pytest
import requests
from fastapi import FastAPI

from serving import environment
from serving.app import create_app
from serving.deploy import deploy
from serving.job.errors import UserError
from serving.keeping import Keeper, Keeping, KeptRequest, make_key, read_keeping
from serving.limits import LimitsError
from serving.queue_kept import list_kept
from tests.serving.shops import Shop
from tests.serving.test_app import RAW, ask, error_of
from tests.serving.tiny import plain, write_bundle

DOUBTFUL, SURE = plain(127), plain(255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def app(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "0")
    monkeypatch.setenv("MODELMILL_KEEP_FOLDER", str(folder))
    return create_app(write_bundle(tmp_path / "b"), "d", 5)


def send(app: FastAPI, picture: bytes, request_id: str, path: str = "/v1/predict") -> None:
    headers = {**RAW, "X-Request-ID": request_id}
    assert ask(app, "POST", path, content=picture, headers=headers).status_code == 200


def test_doubtful_ones_are_kept_and_sure_ones_are_not(app: FastAPI, folder: Path) -> None:
    send(app, DOUBTFUL, "..", "/")
    send(app, SURE, "sure")
    app.state.service.close()
    (found,) = folder.glob("*.json")
    kept = KeptRequest.model_validate_json(found.read_bytes())
    assert (kept.request_id, kept.picture, kept.version) == ("..", 0, 5)
    assert 0.5 <= kept.score < 0.6
    assert found.with_suffix(".bin").read_bytes() == DOUBTFUL


def test_nothing_is_kept_by_default(tmp_path: Path, folder: Path) -> None:
    app = create_app(write_bundle(tmp_path / "b"), "d", 5)
    send(app, DOUBTFUL, "x")
    assert not folder.exists()
    answer = ask(app, "POST", "/v1/feedback", json={"request_id": "x", "label": "oak"})
    assert "MODELMILL_KEEP_REQUESTS" in error_of(answer, 409, "nothing_kept")


def test_a_share_of_the_sure_ones(folder: Path) -> None:
    for share, low, high in ((0.0, 0, 0), (0.3, 200, 400), (1.0, 1000, 1000)):
        keeper = Keeper(Keeping(share=share, folder=folder), 1)
        assert low <= sum(keeper.wants(0.99) for _ in range(1000)) <= high
        assert keeper.wants(0.59)


def test_no_more_than_the_limit(folder: Path) -> None:
    keeper = Keeper(Keeping(share=1, folder=folder, megabytes=1), 1)
    for number in range(5):
        keeper.keep("r", number, bytes(400_000), "oak", 0.5)
    keeper.close()
    assert len(list(folder.glob("*.bin"))) == 2


def test_feedback(app: FastAPI, folder: Path) -> None:
    send(app, DOUBTFUL, "mine")
    app.state.service.close()
    said = {"request_id": "mine", "label": "oak"}
    answer = ask(app, "POST", "/v1/feedback", json=said)
    assert (answer.status_code, answer.json()) == (202, {"request_id": "mine"})
    written = folder / f"{make_key('mine', 0)}.feedback.json"
    assert json.loads(written.read_text())["label"] == "oak"
    other = ask(app, "POST", "/v1/feedback", json={**said, "picture": 1})
    error_of(other, 404, "not_kept")
    wrong: tuple[object, ...] = (
        {"label": "oak"},
        {**said, "label": ""},
        {**said, "picture": -1},
        [],
    )
    for bad in wrong:
        error_of(ask(app, "POST", "/v1/feedback", json=bad), 400, "bad_json")


def test_settings_that_cannot_be_used(folder: Path) -> None:
    assert read_keeping({}) is None
    with pytest.raises(LimitsError, match="MODELMILL_KEEP_FOLDER"):
        read_keeping({"MODELMILL_KEEP_REQUESTS": "0.1"})
    given = {"MODELMILL_KEEP_REQUESTS": "2", "MODELMILL_KEEP_FOLDER": str(folder)}
    with pytest.raises(LimitsError, match="MODELMILL_KEEP_REQUESTS='2'"):
        read_keeping(given)


@pytest.mark.usefixtures("home")
def test_each_deployment_has_its_own_folder_behind_one_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that somebody else has made is left as it is."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o755)
    guard = disk / "kept"
    monkeypatch.setenv("MODELMILL_KEEP_FOLDER", str(disk))
    assert environment.make_kept_folder("boards") is None
    assert not guard.exists()
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "0")
    for name in ("boards", "herbs", "boards"):
        assert environment.make_kept_folder(name) == guard / name
        assert environment.keep_settings(name)["MODELMILL_KEEP_FOLDER"] == str(guard / name)
    assert [one.stat().st_mode & 0o777 for one in (disk, guard)] == [0o755, 0o700]
    guard.chmod(0o755)
    with pytest.raises(UserError, match=f"chmod 700 {guard}"):
        environment.make_kept_folder("boards")
    assert guard.stat().st_mode & 0o777 == 0o755


def test_what_an_older_server_has_left_open_at_home_is_closed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "0")
    (home / "kept").mkdir(mode=0o755)
    assert environment.make_kept_folder("boards") == home / "kept" / "boards"
    assert (home / "kept").stat().st_mode & 0o777 == 0o700


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_all_replicas_keep_in_one_folder_and_take_what_is_said_of_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the gateway nobody knows which of them has answered."""
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "0")
    address = deploy(shop.register(sign=1)).endpoint
    ids = [f"request-{number}" for number in range(6)]
    for request_id in ids:
        headers = {**RAW, "X-Request-ID": request_id}
        assert requests.post(f"{address}/v1/predict", DOUBTFUL, headers=headers, timeout=30).ok
    assert requests.post(f"{address}/v1/predict", SURE, headers=RAW, timeout=30).ok
    folder = environment.kept_folder(shop.deployment)
    end = time.monotonic() + 30
    while len(list(folder.glob("*.json"))) < len(ids):
        assert time.monotonic() < end, list(folder.iterdir())
        time.sleep(0.05)
    for request_id in ids:
        said = {"request_id": request_id, "label": "oak"}
        assert requests.post(f"{address}/v1/feedback", json=said, timeout=30).status_code == 202
    assert {(kept.request.request_id, kept.feedback) for kept in list_kept(folder)} == {
        (request_id, "oak") for request_id in ids
    }
    for kept in list_kept(folder):
        kept.drop()
    assert list(folder.iterdir()) == []
    assert folder.parent.stat().st_mode & 0o777 == 0o700
