"""The import of a collection as it is started: by spark-submit, on workers that know nothing.

The workers have another folder and environment: what they need to reach comes with the tasks.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from pipelines.code import write_archive
from serving.job import store
from serving.job.mongo import MONGO_VARIABLE
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, ImportCollectionSpec, ImportOutcome
from tests.mongo_server import find_jars
from tests.spark_jobs.conftest import REPO
from tests.spark_jobs.test_cluster import SPARK_HOME, clean_environment, master
from tests.spark_jobs.tiny import make_picture

pytestmark = pytest.mark.integration
__all__ = ["master"]


def submit(
    master: str, spec: ImportCollectionSpec, folder: Path, addresses: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    jars = [str(path) for path in find_jars("spark")]
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master]
    command += ["--jars", ",".join(jars), "--driver-class-path", ":".join(jars)]
    command += ["--py-files", str(write_archive(folder / "code")), "--executor-memory", "512m"]
    command += ["--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false"]
    command += ["--conf", f"spark.local.dir={folder / 'local'}"]
    command += ["--conf", "spark.eventLog.enabled=true"]
    command += ["--conf", f"spark.eventLog.dir={(folder / 'events').as_uri()}"]
    command += [str(REPO / "spark_jobs" / "main.py"), "--spec", spec.model_dump_json()]
    environment = {k: v for k, v in clean_environment().items() if not k.startswith("MODELMILL_")}
    return subprocess.run(
        command,
        cwd=folder / "elsewhere",
        env=environment | addresses,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.usefixtures("connector", "database")
def test_a_collection_on_a_bare_worker(
    master: str, mongo_server: str, dataset: str, tmp_path: Path
) -> None:
    (tmp_path / "events").mkdir()
    with MongoClient[dict[str, Any]](mongo_server) as client:
        rows = [{"image": make_picture(i % 2, i), "label": "ab"[i % 2]} for i in range(12)]
        client[f"shop-{dataset}"]["photos"].insert_many(rows)
    spec = ImportCollectionSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        raw_uri=(tmp_path / "raw").as_uri(),
        database=f"shop-{dataset}",
        collection="photos",
    )
    # The server takes anybody; the value of an option that no driver knows, and so no driver
    # shows, stands for the password.
    source = f"{mongo_server}/?shopOption=s3cret"
    done = submit(
        master, spec, tmp_path, {MONGO_VARIABLE: mongo_server, SOURCE_MONGO_VARIABLE: source}
    )
    assert done.returncode == 0, done.stdout[-4000:]
    outcome = store.read_model(store.join(spec.output_uri, "outcome.json"), ImportOutcome)
    assert (outcome.read, outcome.added_per_class) == (12, {"a": 6, "b": 6})
    assert len(list((tmp_path / "raw").iterdir())) == 1
    seen = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in seen if path.is_relative_to(tmp_path / "events")]
    assert not [path for path in seen if b"s3cret" in path.read_bytes()]
    assert "s3cret" not in done.stdout + done.stderr
