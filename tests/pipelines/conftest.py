"""A real database, an installation whose HDFS is a folder, and the command line as it is run."""

import json
import os
import struct
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipelines.cli import main
from pipelines.context import read_installation
from pipelines.images import use_engine
from serving.job.mongo import DATABASE
from tests.pipelines.airflow_server import PASSWORD, USER, Row, serve_airflow

SERVERS = {"mongo_server", "engine"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a server needs what a started stack has: its jars, its Docker engine."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def database(mongo_server: str) -> Iterator[Any]:
    """For the whole session: properties are tried many times on one fixture."""
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](mongo_server, tz_aware=True) as client:
        yield client[DATABASE]


@pytest.fixture
def dataset() -> str:
    """A name that no other test has: the database is shared."""
    return f"data-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def engine() -> Iterator[Any]:
    """The machine's Docker engine; skips where none answers."""
    with use_engine(read_installation()) as found:
        if found is None:
            pytest.skip("no Docker engine answers: set MODELMILL_DOCKER_HOST")
        yield found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mongo_server: str) -> Path:
    """An installation that uses servers which are there; its jobs' environment is the real one."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "venvs").symlink_to(Path(os.environ["MODELMILL_HOME"]) / "venvs")
    monkeypatch.setenv("MODELMILL_HOME", str(folder))
    monkeypatch.setenv("MODELMILL_MONGO_URI", mongo_server)
    monkeypatch.setenv("MODELMILL_HDFS_URI", (tmp_path / "hdfs").as_uri())
    # Set here as well, so that what the commands set ends with the test.
    monkeypatch.setenv("MODELMILL_WEBHDFS_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("HADOOP_USER_NAME", "modelmill")
    return folder


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """./modelmill ARGUMENTS…"""

    def run_command(*arguments: str) -> Done:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["modelmill", *arguments])
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run_command


@pytest.fixture
def airflow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Row]]:
    """Runs that Airflow knows; none at first."""
    rows: list[Row] = []
    (home / "secrets").mkdir()
    (home / "secrets" / "airflow-users.json").write_text(json.dumps({USER: PASSWORD}))
    with serve_airflow(rows) as port:
        monkeypatch.setenv("MODELMILL_PORT_AIRFLOW", str(port))
        yield rows


def insert_sample(database: Any, dataset: str, sha256: str, label: str, **changes: Any) -> None:
    """A sample as an import writes it, and its class."""
    first = {
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "by": "tester",
        "label": label,
        "state": "active",
    }
    fields = {
        "_id": f"{dataset}/{sha256}",
        "dataset": dataset,
        "sha256": sha256,
        "name": f"{label}/{sha256[:4]}.png",
        "segment": "file:///raw/one.parquet",
        "size_bytes": 3,
        "split": None,
        "side": None,
        "group": None,
        "state": "active",
        "label": label,
        "history": [first],
        "added_at": first["at"],
        "origin": "import",
    }
    database["samples"].insert_one(fields | changes)
    fresh = {"title": "Signs", "task": "image_classification", "classes": []}
    database["datasets"].update_one({"_id": dataset}, {"$setOnInsert": fresh}, upsert=True)
    classes = set(database["datasets"].find_one({"_id": dataset})["classes"]) | {label}
    database["datasets"].update_one({"_id": dataset}, {"$set": {"classes": sorted(classes)}})


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow makes folders when it is imported: not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        yield


def make_png(value: int, width: int = 8) -> bytes:
    """Eight pixels high, grey."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    rows = (b"\0" + bytes([value] * width)) * 8
    header = struct.pack(">IIBBBBB", width, 8, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
