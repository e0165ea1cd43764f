"""One real database for all the tests of a run."""

from collections.abc import Iterator
from typing import Any

import pytest

from serving.job.mongo import DATABASE, MONGO_VARIABLE
from tests.mongo_server import find_jars, run_mongo


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    jars = find_jars("mongo")
    if not jars:
        pytest.skip(
            "set MODELMILL_HOME to an installation: the MongoDB-wire server's jars are there"
        )
    with run_mongo(jars, tmp_path_factory.mktemp("mongo")) as uri:
        yield uri


@pytest.fixture
def database(mongo_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the jobs find there; shared by all tests, so each uses names of its own."""
    from pymongo import MongoClient

    monkeypatch.setenv(MONGO_VARIABLE, mongo_server)
    with MongoClient[dict[str, Any]](mongo_server, tz_aware=True) as client:
        yield client[DATABASE]
