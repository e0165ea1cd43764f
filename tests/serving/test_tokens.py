"""Bearer tokens: who may ask, in whose words they are refused, and what a file of hashes keeps."""

import os
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from serving import tokens
from serving.app import create_app
from serving.tokens import (
    TokenGate,
    add_token,
    lend_token,
    locate_watch,
    read_tokens,
    revoke_tokens,
)
from tests.serving.test_app import RAW, ask
from tests.serving.tiny import plain, write_bundle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens" / "d.json"


@pytest.fixture
def app(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr(tokens, "FRESH_SECONDS", 0.0)
    return create_app(write_bundle(tmp_path / "b"), "d", 1, tokens=path)


def predict(
    app: FastAPI, authorization: str | None = None, path: str = "/v1/predict"
) -> httpx.Response:
    given = {} if authorization is None else {"Authorization": authorization}
    return ask(app, "POST", path, content=plain(1), headers={**RAW, **given})


def test_new_revoke_and_none_take_effect_while_it_runs(app: FastAPI, path: Path) -> None:
    assert predict(app).status_code == 200
    first, made = add_token(path, "line 3")
    second, _ = add_token(path, "")
    assert predict(app).status_code == 401
    assert predict(app, f"Bearer {first}").status_code == 200
    assert predict(app, f"bearer  {second}").status_code == 200
    revoke_tokens(path, (made.id,))
    assert predict(app, f"Bearer {first}").status_code == 401
    assert predict(app, f"Bearer {second}").status_code == 200
    path.unlink()
    assert predict(app).status_code == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer é"]
)
def test_what_is_no_token(path: Path, given: str) -> None:
    text, _ = add_token(path, "")
    assert not TokenGate(path).admits(given.format(text))


def test_refusals_are_in_the_form_of_the_api(app: FastAPI, path: Path) -> None:
    add_token(path, "")
    native = predict(app)
    assert native.json()["error"]["code"] == "unauthorized"
    assert native.headers["WWW-Authenticate"] == "Bearer"
    assert predict(app, path="/d/ImageClassification").json()["error_code"] == 110
    assert predict(app, path="/").json()["error_code"] == 110
    assert "token" in predict(app, path="/v2/models/d/infer").json()["error"]
    for open_path in ("/", "/livez", "/readyz", "/healthz", "/v2/health/ready"):
        assert ask(app, "GET", open_path).status_code == 200
    for closed in ("/metrics", "/v1/model", "/openapi.json", "/v2", "/nope"):
        assert ask(app, "GET", closed).status_code == 401


def test_a_watch_sees_the_metrics_and_nothing_else_and_nobody_else_sees_them(
    app: FastAPI, path: Path
) -> None:
    own, _ = add_token(path, "")

    def status(path: str, token: str) -> int:
        return ask(app, "GET", path, headers={"Authorization": f"Bearer {token}"}).status_code

    with lend_token(locate_watch(path)) as text:
        assert status("/metrics", text) == 200
        assert predict(app, f"Bearer {text}").status_code == 401
        assert status("/v1/model", text) == 401
        assert ask(app, "GET", "/metrics").status_code == 401
        assert status("/metrics", f"{text}x") == 401
        assert status("/metrics", own) == 200
    assert status("/metrics", text) == 401
    assert status("/metrics", own) == 200
    assert sorted(found.name for found in path.parent.iterdir()) == [path.name]


def test_a_watch_that_ends_leaves_the_others_theirs(path: Path) -> None:
    """A retry may begin, and an attempt that was given up end, in any order."""
    watch = locate_watch(path)

    def admits(token: str) -> bool:
        return TokenGate(watch, open_without=False).admits(f"Bearer {token}")

    with lend_token(watch) as retry:
        with lend_token(watch) as given_up:
            assert (admits(retry), admits(given_up)) == (True, True)
        assert (admits(retry), admits(given_up)) == (True, False)
    assert not watch.exists()


def test_what_a_killed_watch_has_left_goes_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = locate_watch(path)
    for note in ("killed", "also killed"):
        add_token(watch, note)
    with lend_token(watch):
        pass
    assert watch.exists()
    monkeypatch.setattr(tokens, "LENT", timedelta())
    with lend_token(watch):
        found = read_tokens(watch)
        assert found is not None
        assert [one.note for one in found.tokens] == ["watch"]
    assert not watch.exists()


def test_the_file_keeps_hashes_only(path: Path) -> None:
    text, made = add_token(path, "for the line")
    content = path.read_text()
    assert text.startswith(f"mm_{made.id}_")
    assert made.id in content
    # The secret itself may hold an underscore.
    assert text.removeprefix(f"mm_{made.id}_") not in content
    assert len(text) > 50


def test_no_token_left_means_nobody(app: FastAPI, path: Path) -> None:
    text, made = add_token(path, "")
    assert revoke_tokens(path, (made.id,)) == ()
    assert predict(app, f"Bearer {text}").status_code == 401
    with pytest.raises(KeyError, match="nope"):
        revoke_tokens(path, ("nope",))


def test_a_damaged_file_lets_nobody_in(app: FastAPI, path: Path) -> None:
    text, _ = add_token(path, "")
    path.write_text("{")
    assert predict(app, f"Bearer {text}").status_code == 401
    with pytest.raises(ValueError, match="no file of tokens"):
        read_tokens(path)


def test_the_file_is_not_read_for_every_request(path: Path) -> None:
    text, _ = add_token(path, "")
    gate = TokenGate(path)
    assert gate.admits(f"Bearer {text}")
    os.truncate(path, 0)
    assert gate.admits(f"Bearer {text}")


def test_no_other_page_may_ask(app: FastAPI) -> None:
    answer = ask(app, "GET", "/v1/model", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert ask(app, "OPTIONS", "/v1/predict", headers=preflight).status_code == 405
