"""The code reaches executors by what spark-submit sends, never by luck.

A standalone master and worker run in another folder and without PYTHONPATH.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyspark
import pytest

from pipelines.code import write_archive
from serving.job import store
from spark_jobs.importing.job import run_import
from spark_jobs.spec import BackboneFile, EtlOutcome, EtlSpec, ImportSpec, StageSpec
from tests.mongo_server import find_jars, free_port, wait_for_port
from tests.spark_jobs.conftest import REPO
from tests.spark_jobs.tiny import PREPROCESSING, write_tree

pytestmark = pytest.mark.integration

SPARK_HOME = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
STAGE = '''
"""Reject green pictures, in the executors, by a function of this very file."""
import io
import numpy as np
from PIL import Image
from pyspark.sql import functions as F
from spark_jobs.schemas import reject

def is_green(content):
    means = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).mean(axis=(0, 1))
    return bool(means.argmax() == 1)

def run(samples, params):
    return reject(samples, F.udf(is_green, "boolean")("content"), "green")
'''


def clean_environment() -> dict[str, str]:
    """Nothing that could lead to the repository."""
    dropped = ("PYTHONPATH", "PYSPARK_SUBMIT_ARGS", "PWD", "OLDPWD")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    spark = {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1"}
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    return kept | spark | python | {"SPARK_NO_DAEMONIZE": "1"}


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    folder, port, worker_port = tmp_path / "elsewhere", free_port(), free_port()
    folder.mkdir()
    spark_class = [str(SPARK_HOME / "bin" / "spark-class")]
    host = ["--host", "127.0.0.1", "--webui-port", "0"]
    address = f"spark://127.0.0.1:{port}"
    limits = ["-c", "2", "-m", "1g", "--work-dir", str(folder / "work")]
    commands = [
        ([f"{DEPLOY}.master.Master", *host, "--port", str(port)], port),
        (
            [f"{DEPLOY}.worker.Worker", *host, "--port", str(worker_port), *limits, address],
            worker_port,
        ),
    ]
    processes = []
    with (folder / "log").open("wb") as log:
        for command, listens in commands:
            process = subprocess.Popen(
                spark_class + command, cwd=folder, env=clean_environment(), stdout=log, stderr=log
            )
            processes.append(process)
            wait_for_port(listens, process)
    yield address
    for process in reversed(processes):
        process.terminate()
        process.wait(30)


def submit(master: str, spec: EtlSpec, folder: Path) -> "subprocess.CompletedProcess[str]":
    archive = write_archive(folder / "code")
    jars = [str(path) for path in find_jars("spark")]
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master]
    command += ["--jars", ",".join(jars), "--driver-class-path", ":".join(jars)]
    command += ["--py-files", str(archive), "--executor-memory", "512m"]
    command += ["--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false"]
    command += ["--conf", f"spark.local.dir={folder / 'local'}"]
    command += [str(REPO / "spark_jobs" / "main.py"), "--spec", spec.model_dump_json()]
    return subprocess.run(
        command,
        cwd=folder / "elsewhere",
        env=clean_environment() | {"MODELMILL_STAGES": str(folder / "stages")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def spec(import_root: Path, tmp_path: Path, database: Any, backbone: BackboneFile) -> EtlSpec:
    """Five pictures of each class, imported, and a chain with a stage of the user's own."""
    write_tree(import_root, per_class=5)
    output, raw = (tmp_path / "out").as_uri(), (tmp_path / "raw").as_uri()
    dataset, source = f"spark-cluster-{time.time_ns()}", import_root.as_uri()
    run_import(ImportSpec(output_uri=output, dataset=dataset, source_uri=source, raw_uri=raw))
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "reject_green.py").write_text(STAGE)
    chain = ("decode_image", "reject_green", "compute_features", "assign_sides")
    return EtlSpec(
        output_uri=output,
        dataset=dataset,
        cutoff=datetime.now(UTC) + timedelta(seconds=5),
        seed=0,
        raw_uri=raw,
        snapshots_uri=(tmp_path / "snapshots").as_uri(),
        features_uri=(tmp_path / "features").as_uri(),
        facts_uri=(tmp_path / "facts").as_uri(),
        backbone=backbone,
        preprocessing=PREPROCESSING,
        stages=tuple(StageSpec(name=name) for name in chain),
    )


def test_etl_with_a_users_stage_on_a_bare_worker(
    master: str, connector: None, spec: EtlSpec, tmp_path: Path
) -> None:
    done = submit(master, spec, tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    outcome = store.read_model(store.join(spec.output_uri, "outcome.json"), EtlOutcome)
    assert (outcome.features_made, outcome.rejected) == (10, 5)
    assert list((tmp_path / "elsewhere" / "work").glob("app-*/0"))
    wrong = spec.model_copy(update={"stages": (StageSpec(name="reject_gren"),)})
    told = submit(master, wrong, tmp_path)
    assert told.returncode == 64
    # spark-submit passes the driver's standard error on as standard output.
    assert "Did you mean 'reject_green'" in told.stdout
