"""Pictures to evaluate on, and a real MLflow."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyspark.sql import SparkSession

from serving.job import store
from serving.job.segments import SegmentWriter
from spark_jobs.etl_report import write_report
from spark_jobs.importing.ledger import Ledger, NewSample
from spark_jobs.report_models import EtlReport, Picture, Pictures, RejectedSample
from spark_jobs.snapshots import LABELS, LABELS_FILE, write_snapshot
from spark_jobs.spec import EvaluateSpec
from spark_jobs.tracking import MLFLOW_VARIABLE
from tests.mongo_server import free_port, wait_for_port
from tests.spark_jobs.evaluation.outcomes import LEFT_OUT, PER_CLASS, TRAINED_ON
from tests.spark_jobs.tiny import (
    CLASSES,
    make_picture,
    write_bundle,
)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/db"]
    command += ["--artifacts-destination", (folder / "artifacts").as_uri()]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for_port(port, process, seconds=120)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def mlflow_run(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(MLFLOW_VARIABLE, mlflow_server)
    answer = requests.post(
        f"{mlflow_server}/api/2.0/mlflow/runs/create",
        json={"experiment_id": "0", "start_time": int(time.time() * 1000)},
        timeout=60,
    )
    return str(answer.json()["run"]["info"]["run_id"])


@pytest.fixture
def spec(
    spark: SparkSession, database: Any, mlflow_run: str, tmp_path: Path, dataset: str
) -> EvaluateSpec:
    """Six test pictures of each class; two red ones are labelled as the second class.

    In the same segment lie one picture to train on, and two of each class on the val side.
    """
    raw, writer = (tmp_path / "raw").as_uri(), SegmentWriter()
    writer.add(TRAINED_ON, "train.png", b"never read")
    rows = [{"sha256": TRAINED_ON, "label": CLASSES[0], "side": "train", "name": "train.png"}]
    for channel, name in enumerate(CLASSES):
        for seed in range(2):
            content = make_picture(channel, 300 + seed)
            digest = hashlib.sha256(content).hexdigest()
            writer.add(digest, f"val/{name}/{seed}.png", content)
            row = {"sha256": digest, "label": name, "side": "val", "name": f"val/{name}/{seed}.png"}
            rows.append(row)
    for channel, name in enumerate(CLASSES):
        for seed in range(PER_CLASS):
            wrong = channel == 1 and seed < 2
            content = make_picture(0 if wrong else channel, (200 if wrong else 100) + seed)
            digest = hashlib.sha256(content).hexdigest()
            writer.add(digest, f"{name}/{seed}.png", content)
            row = {"sha256": digest, "label": name, "side": "test", "name": f"{name}/{seed}.png"}
            rows.append(row)
    segment = writer.write(raw)
    complete = [{**row, "group": None, "segment": segment} for row in rows]
    labels = pa.Table.from_pylist(complete, LABELS)
    new = [NewSample(r["sha256"], r["name"], r["label"], None, None, 1) for r in rows]
    Ledger(database, dataset, "me").add(new, segment)
    snapshots = (tmp_path / "snapshots").as_uri()
    manifest = write_snapshot(snapshots, dataset, labels)
    pictures_uri = (tmp_path / "etl_pictures.json").as_uri()
    shown = Picture(sha256="left out", side=None, thumbnail=LEFT_OUT)
    store.write_model(pictures_uri, Pictures(pictures=(shown,)))
    report = EtlReport(
        dataset=dataset,
        snapshot_id=manifest.snapshot_id,
        samples=manifest.samples,
        kept=manifest.samples,
        rejected=0,
        rejections=(RejectedSample(name="torn.jpg", reason="torn", sha256="left out"),),
        stages=(),
        counts=manifest.counts,
        imbalance=1.0,
        flags=None,
        near_duplicates=None,
        sides=None,
        pictures_uri=pictures_uri,
    )
    return EvaluateSpec(
        output_uri=(tmp_path / "out").as_uri(),
        run_id="20260102T030405-abcdef",
        dataset=dataset,
        deployment=dataset,
        snapshot_id=manifest.snapshot_id,
        labels_uri=store.join(snapshots, manifest.snapshot_id, LABELS_FILE),
        raw_uri=raw,
        bundle_uri=write_bundle(tmp_path / "bundle").as_uri(),
        etl_report_uri=write_report((tmp_path / "etl").as_uri(), report),
        mlflow_run_id=mlflow_run,
        min_accuracy=0.8,
        max_bad_cases=1,
        smoke_samples=4,
        report_address="http://127.0.0.1:8090/runs/20260102T030405-abcdef/report",
    )
