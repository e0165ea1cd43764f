"""The same promises on the local disk and on HDFS."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import JobError


def find_webhdfs() -> str:
    address = os.environ.get(store.WEBHDFS_VARIABLE, "http://127.0.0.1:9870")
    try:
        requests.get(f"{address}/webhdfs/v1/?op=GETFILESTATUS", timeout=3).raise_for_status()
    except requests.RequestException:
        pytest.skip(f"no WebHDFS answers at {address}: ./modelmill up, or {store.WEBHDFS_VARIABLE}")
    return address


@pytest.fixture(params=["file", "hdfs"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "file":
        yield (tmp_path / "root with 空格").as_uri()
        return
    monkeypatch.setenv(store.WEBHDFS_VARIABLE, find_webhdfs())
    uri = f"hdfs:///tmp/modelmill-test-{uuid.uuid4().hex}"
    yield uri
    store.delete(uri)


def test_bytes_come_back(root: str) -> None:
    uri = store.join(root, "a", "b.bin")
    store.write_bytes(uri, bytes(range(256)))
    assert store.read_bytes(uri) == bytes(range(256))
    assert store.exists(uri)
    assert store.list_names(root) == ["a"]


def test_folders_are_measured(root: str) -> None:
    store.write_bytes(store.join(root, "a", "b.bin"), bytes(256))
    store.write_bytes(store.join(root, "a", "deep er", "c.bin"), bytes(44))
    assert store.measure(store.join(root, "a")) == 300
    assert store.measure(store.join(root, "a", "b.bin")) == 256
    assert store.measure(store.join(root, "missing")) == 0


def test_times_are_told(root: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    store.write_bytes(store.join(root, "a", "b.bin"), b"b")
    store.write_bytes(store.join(root, "c.bin"), b"c")
    times = store.list_times(root)
    assert set(times) == {"a", "c.bin"}
    assert all(before <= at <= datetime.now(UTC) + timedelta(seconds=1) for at in times.values())
    assert store.list_times(store.join(root, "missing")) == {}


def test_empty_file(root: str) -> None:
    store.write_bytes(store.join(root, "empty"), b"")
    assert store.read_bytes(store.join(root, "empty")) == b""


def test_missing_is_file_not_found(root: str) -> None:
    uri = store.join(root, "missing")
    with pytest.raises(FileNotFoundError):
        store.read_bytes(uri)
    assert not store.exists(uri)
    assert store.list_names(uri) == []
    store.delete(uri)


def test_exclusive_write_happens_once(root: str) -> None:
    uri = store.join(root, "token")
    store.write_bytes(uri, b"1", overwrite=False)
    with pytest.raises(FileExistsError):
        store.write_bytes(uri, b"2", overwrite=False)
    assert store.read_bytes(uri) == b"1"
    store.write_bytes(uri, b"3")
    assert store.read_bytes(uri) == b"3"


def test_rename_takes_a_file_once_and_never_replaces(root: str) -> None:
    source, target = store.join(root, "attempt-1", "_token"), store.join(root, "committed")
    store.write_bytes(source, b"1")
    assert store.rename(source, target)
    assert store.read_bytes(target) == b"1"
    assert not store.rename(source, target)
    store.write_bytes(source, b"2")
    assert not store.rename(source, target)
    assert store.read_bytes(target) == b"1"


def test_folder_rename_does_not_nest(root: str) -> None:
    one, two = store.join(root, "one"), store.join(root, "two")
    store.make_folder(one)
    store.make_folder(two)
    assert not store.rename(one, two)
    assert store.list_names(two) == []


def test_delete_takes_a_whole_folder(root: str) -> None:
    store.write_bytes(store.join(root, "a", "b", "c"), b"x")
    store.delete(store.join(root, "a"))
    assert not store.exists(store.join(root, "a"))


def test_models_come_back(root: str) -> None:
    uri = store.join(root, "error.json")
    store.write_model(uri, JobError(message="键盘 <b>"))
    assert store.read_model(uri, JobError).message == "键盘 <b>"


def test_hdfs_without_an_address_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(store.WEBHDFS_VARIABLE, raising=False)
    with pytest.raises(UserError, match="set MODELMILL_WEBHDFS_URI to http://HOST:PORT"):
        store.read_bytes("hdfs://127.0.0.1:8020/x")
