"""./modelmill token, as a person types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.command_line.tokens import token
from serving.tokens import hash_token, locate_tokens, read_tokens


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELMILL_HOME", str(tmp_path))
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(token, arguments)


def test_new_list_revoke(home: Path) -> None:
    assert "asks for no token" in call("list", "boards").output
    made = json.loads(call("new", "boards", "--note", "line 3", "--json").stdout)
    text = call("new", "boards").stdout.strip()
    known = read_tokens(locate_tokens(home, "boards"))
    assert known is not None
    assert [one.sha256 for one in known.tokens] == [hash_token(made["token"]), hash_token(text)]
    listed = call("list", "boards").output
    assert made["id"] in listed
    assert "line 3" in listed
    assert made["token"] not in listed
    left = json.loads(call("revoke", "boards", made["id"], "--json").stdout)
    assert [one["id"] for one in left["tokens"]] == [known.tokens[1].id]
    assert "nobody may ask" in call("revoke", "boards", known.tokens[1].id).output
    assert "asks for no token" in call("revoke", "boards", "--all").output


def test_wrong_usage() -> None:
    assert call("revoke", "boards").exit_code == 2
    assert call("revoke", "boards", "x", "--all").exit_code == 2
    assert call("new", "../x").exit_code == 2
    unknown = call("revoke", "boards", "nope")
    assert "has no token nope" in str(unknown.exception)


def test_a_damaged_file_is_named(home: Path) -> None:
    path = locate_tokens(home, "boards")
    path.parent.mkdir()
    path.write_text("{")
    for arguments in (("list", "boards"), ("new", "boards")):
        assert str(path) in str(call(*arguments).exception)
    assert path.read_text() == "{"
