"""What to import, and an HDFS of the folder's own: with permissions, and to be killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.job.store import WEBHDFS_VARIABLE
from spark_jobs.spec import ImportSpec
from tests.hdfs_server import Hdfs, run_hdfs
from tests.mongo_server import find_jars


@pytest.fixture
def spec(import_root: Path, tmp_path: Path, dataset: str, database: Any) -> ImportSpec:
    return ImportSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        source_uri=import_root.as_uri(),
        raw_uri=(tmp_path / "raw").as_uri(),
    )


@pytest.fixture(scope="session")
def hdfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    jars = find_jars("hdfs")
    if not jars:
        pytest.skip("set MODELMILL_HOME to an installation: HDFS's jars are there")
    with run_hdfs(jars, tmp_path_factory.mktemp("hdfs")) as hdfs:
        yield hdfs


@pytest.fixture
def hdfs(hdfs_server: Hdfs, monkeypatch: pytest.MonkeyPatch) -> Hdfs:
    monkeypatch.setenv(WEBHDFS_VARIABLE, hdfs_server.address)
    monkeypatch.setenv("HADOOP_USER_NAME", "modelmill")
    return hdfs_server
