"""The evaluate job against a real database and a real MLflow."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import requests
from pydantic import ValidationError
from pyspark.sql import SparkSession

from serving.bundle.predictor import Predictor
from serving.job import store
from serving.job.errors import UserError
from serving.job.evaluation import BadCases, Evaluation, Paired, Suspects
from serving.job.inputs import InputFeatures
from serving.job.samples import delete_sample, read_sample
from serving.job.smoke import SmokeSamples
from spark_jobs.administration.purge import purge_samples
from spark_jobs.administration.spec import PurgeSpec
from spark_jobs.etl_report import write_report
from spark_jobs.evaluate import run_evaluate
from spark_jobs.facts import MEASURES, FactsCache
from spark_jobs.importing.ledger import Ledger, NewSample
from spark_jobs.importing.segments import SegmentWriter
from spark_jobs.report_models import EtlReport, Picture, Pictures, RejectedSample
from spark_jobs.smoke import Prediction, choose_smoke
from spark_jobs.snapshots import LABELS, LABELS_FILE, write_snapshot
from spark_jobs.spec import EvaluateOutcome, EvaluateSpec
from spark_jobs.tracking import MLFLOW_VARIABLE
from tests.mongo_server import free_port, wait_for_port
from tests.spark_jobs.tiny import (
    CLASSES,
    PREPROCESSING,
    make_picture,
    write_backbone,
    write_bundle,
)

PER_CLASS = 6
TRAINED_ON = "0" * 64
LEFT_OUT = "data:image/jpeg;base64,AAAA"


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
    wait_for_port(port, process, seconds=120)
    yield f"http://127.0.0.1:{port}"
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
    )


def check_outcome(outcome: EvaluateOutcome) -> None:
    evaluation = store.read_model(outcome.metrics_uri, Evaluation)
    assert evaluation.classes == CLASSES
    assert evaluation.confusion == ((6, 0, 0), (2, 4, 0), (0, 0, 6))
    assert outcome.accuracy == evaluation.accuracy == pytest.approx(16 / 18)
    assert evaluation.per_class[0].precision == pytest.approx(6 / 8)
    assert (outcome.bad_cases, outcome.test_samples) == (2, 18)
    assert outcome.weakest is not None
    assert outcome.weakest.label == CLASSES[1]
    assert outcome.weakest.recall == pytest.approx(4 / 6)


def test_first_evaluation(spec: EvaluateSpec, tmp_path: Path, mlflow_server: str) -> None:
    outcome = run_evaluate(spec)
    check_outcome(outcome)
    assert (outcome.champion.generation, outcome.champion.version) == (0, None)
    scored = pq.read_table(tmp_path / "out" / "predictions").to_pylist()
    predictions = [row for row in scored if row["side"] == "test"]
    assert (len(predictions), len(scored)) == (18, 24)
    predictor = Predictor(tmp_path / "bundle")
    smoke = store.read_model(outcome.smoke_uri, SmokeSamples)
    assert len(smoke.samples) == 4
    assert {sample.predicted for sample in smoke.samples} == set(CLASSES)
    by_hash = {row["sha256"]: row for row in predictions}
    for sample in smoke.samples:
        content = base64.b64decode(sample.content_base64)
        assert hashlib.sha256(content).hexdigest() == sample.sha256
        scores = predictor.score([predictor.prepare(content)])[0]
        row = by_hash[sample.sha256]
        assert row["predicted"] == row["label"] == sample.predicted
        assert row["score"] == pytest.approx(float(scores.max()), abs=1e-6)
    for row in predictions:
        assert row["scores"][CLASSES.index(row["predicted"])] == pytest.approx(row["score"])
        assert (row["width"], row["height"], row["side"]) == (48, 40, "test")
    cases = store.read_model(outcome.bad_cases_uri, BadCases).cases
    assert [(case.label, case.predicted) for case in cases] == [(CLASSES[1], CLASSES[0])] * 2
    label, score = cases[0].scores[0]
    assert label == CLASSES[0]
    assert score == pytest.approx(by_hash[cases[0].sha256]["score"])
    assert score > cases[1].scores[0][1]
    report = store.read_bytes(outcome.report_uri).decode()
    assert report.count("<figure>") == 1
    assert "&lt;b&gt;bold" in report
    assert report.count(LEFT_OUT) == 1
    run = requests.get(
        f"{mlflow_server}/api/2.0/mlflow/runs/get",
        params={"run_id": spec.mlflow_run_id},
        timeout=60,
    ).json()["run"]
    logged = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert logged["test_accuracy"] == pytest.approx(outcome.accuracy)
    files = requests.get(
        f"{mlflow_server}/api/2.0/mlflow/artifacts/list",
        params={"run_id": spec.mlflow_run_id},
        timeout=60,
    ).json()["files"]
    assert {file["path"] for file in files} >= {"report.html", "metrics.json"}


def write_features(folder: Path, vectors: dict[str, list[float]]) -> InputFeatures:
    folder.mkdir()
    columns = {
        "sha256": pa.array(list(vectors)),
        "vector": pa.array(list(vectors.values()), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), folder / "0.parquet")
    backbone = write_backbone(folder)
    uri = folder.as_uri()
    return InputFeatures(backbone=backbone, preprocessing=PREPROCESSING, features_uri=uri)


def test_what_speaks_for_a_mistake(spec: EvaluateSpec, tmp_path: Path, spark: SparkSession) -> None:
    labels = pq.read_table(tmp_path / "snapshots" / spec.snapshot_id / LABELS_FILE)
    mistaken = labels.filter(
        pc.is_in(labels["name"], pa.array([f"{CLASSES[1]}/{seed}.png" for seed in range(2)]))
    )["sha256"].to_pylist()
    vectors = {TRAINED_ON: [1.0, 0.0], mistaken[0]: [1.0, 0.0], mistaken[1]: [0.0, 1.0]}
    features = write_features(tmp_path / "features", vectors)
    facts_uri = (tmp_path / "facts").as_uri()
    fields = {"sha256": mistaken, "sharpness": [0.5, 0.5], "darkest": [0.0, 0.0]}
    table = pa.table(fields | {"brightest": [9.0, 90.0]}).cast(
        pa.schema([("sha256", pa.string()), *((name, pa.float32()) for name in MEASURES)])
    )
    cache = Path(FactsCache(spark, facts_uri).uri.removeprefix("file://"))
    cache.mkdir(parents=True)
    pq.write_table(table, cache / "0.parquet")
    outcome = run_evaluate(spec.model_copy(update={"features": features, "facts_uri": facts_uri}))
    check_outcome(outcome)
    evaluation = store.read_model(outcome.metrics_uri, Evaluation)
    # Every val picture is classified rightly and reaches its class's threshold.
    assert all(row.threshold and row.threshold > 0.5 for row in evaluation.per_class)
    assert evaluation.declining is not None
    assert 0.5 < evaluation.declining.threshold < 1
    cases = {one.sha256: one for one in store.read_model(outcome.bad_cases_uri, BadCases).cases}
    assert set(cases) == set(mistaken)
    near = cases[mistaken[0]].neighbours
    assert [(one.sha256, one.name, one.label) for one in near] == [
        (TRAINED_ON, "train.png", CLASSES[0])
    ]
    first, second = (" ".join(cases[sha256].reasons) for sha256 in mistaken)
    for told in ("all but the same as 'train.png'", "label may be wrong", "very dark"):
        assert told in first
    assert "all but the same" not in second
    suspects = store.read_model(outcome.suspects_uri, Suspects)
    assert suspects.sides == ("val", "test")
    assert {one.sha256 for one in suspects.suspects} == set(mistaken)
    assert {one.suspected for one in suspects.suspects} == {CLASSES[0]}


def test_champion_on_the_same_side(spec: EvaluateSpec, tmp_path: Path, database: Any) -> None:
    """The champion knows two classes only, so that it is wrong on the third."""
    bundle = write_bundle(tmp_path / "champion", CLASSES[:2])
    document = {"version": 3, "generation": 5, "bundle_uri": bundle.as_uri()}
    database["deployments"].insert_one({"_id": spec.deployment, **document})
    outcome = run_evaluate(spec)
    check_outcome(outcome)
    assert (outcome.champion.version, outcome.champion.generation) == (3, 5)
    assert outcome.champion.accuracy == pytest.approx(10 / 18)
    assert (outcome.champion.macro_f1 or 1) < outcome.macro_f1
    # Both see the two red pictures that are labelled as the second class as the first.
    assert outcome.champion.paired == Paired(both=10, challenger_only=0, champion_only=0, neither=2)
    assert f"does not know {CLASSES[2]!r}" in outcome.champion.note


def test_champion_that_is_gone(spec: EvaluateSpec, tmp_path: Path, database: Any) -> None:
    gone = (tmp_path / "gone").as_uri()
    document = {"version": 3, "generation": 5, "bundle_uri": gone}
    database["deployments"].insert_one({"_id": spec.deployment, **document})
    outcome = run_evaluate(spec)
    check_outcome(outcome)
    assert (outcome.champion.version, outcome.champion.accuracy) == (3, None)
    assert gone in outcome.champion.note


def test_numbers_that_are_none(spec: EvaluateSpec, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "broken", logit_scale=float("nan"))
    with pytest.raises(UserError, match="18 of 18 test samples with NaN"):
        run_evaluate(spec.model_copy(update={"bundle_uri": bundle.as_uri()}))


def test_outcomes_of_earlier_versions() -> None:
    """They held the whole confusion matrix."""
    earlier = {
        "accuracy": 0.75,
        "macro_f1": 0.7,
        "test_samples": 4,
        "classes": ["a", "b"],
        "per_class": [
            {"label": "a", "precision": 0.6, "recall": 1.0, "f1": 0.8, "support": 2},
            {"label": "b", "precision": 1.0, "recall": 0.5, "f1": 0.6, "support": 2},
        ],
        "confusion": [[2, 0], [1, 1]],
        "bad_cases": 1,
        "champion": {"generation": 0, "version": None, "accuracy": None, "macro_f1": None},
        "predictions_uri": "file:///p",
        "report_uri": "file:///r",
        "smoke_uri": "file:///s",
    }
    outcome = EvaluateOutcome.model_validate_json(json.dumps(earlier))
    assert (outcome.accuracy, outcome.bad_cases, outcome.metrics_uri) == (0.75, 1, "")
    with pytest.raises(ValidationError, match="unheard_of"):
        EvaluateOutcome.model_validate(earlier | {"unheard_of": 1})


def test_lost_test_pictures_are_told(spec: EvaluateSpec, tmp_path: Path) -> None:
    (segment,) = (tmp_path / "raw").iterdir()
    table = pq.read_table(segment)
    pq.write_table(table.slice(0, table.num_rows - 2), segment)
    with pytest.raises(UserError, match="2 of 18 test samples"):
        run_evaluate(spec)


def purge(spec: EvaluateSpec, database: Any, sha256: str) -> None:
    delete_sample(database, read_sample(database, spec.dataset, sha256), "me")
    shared = spec.model_dump(include={"output_uri", "dataset", "raw_uri"})
    snapshots_uri = spec.labels_uri.rsplit("/", 2)[0]
    purge_samples(PurgeSpec(**shared, snapshots_uri=snapshots_uri, sha256s=(sha256,)))


def test_a_purge_since_the_etl_is_no_matter(spec: EvaluateSpec, database: Any) -> None:
    """It has written the segment that the snapshot names anew."""
    purge(spec, database, TRAINED_ON)
    check_outcome(run_evaluate(spec))


def test_purged_test_pictures_are_told(spec: EvaluateSpec, database: Any) -> None:
    tested = database["samples"].find_one({"dataset": spec.dataset, "name": f"{CLASSES[2]}/0.png"})
    purge(spec, database, tested["sha256"])
    with pytest.raises(UserError, match="1 of 18 test samples were purged"):
        run_evaluate(spec)


def test_a_lost_segment_is_told(spec: EvaluateSpec, tmp_path: Path) -> None:
    for segment in (tmp_path / "raw").iterdir():
        segment.unlink()
    with pytest.raises(UserError, match="18 of 18 test samples"):
        run_evaluate(spec)


def make_prediction(sha256: str, label: str, predicted: str, score: float, size: int) -> Prediction:
    return Prediction(
        sha256=sha256,
        name=sha256,
        label=label,
        segment="s",
        size_bytes=size,
        predicted=predicted,
        score=score,
    )


def test_smoke_prefers_small_sure_and_different() -> None:
    predictions = [
        make_prediction("a-large", "a", "a", 0.9, 900),
        make_prediction("a-small", "a", "a", 0.9, 10),
        make_prediction("a-unsure", "a", "a", 0.3, 1),
        make_prediction("b", "b", "b", 0.9, 5000),
        make_prediction("c-wrong", "c", "a", 0.9, 1),
    ]
    assert [p.sha256 for p in choose_smoke(predictions, 3)] == ["a-small", "b", "a-large"]
    assert [p.sha256 for p in choose_smoke(predictions[-1:], 3)] == ["c-wrong"]
    assert choose_smoke([], 3) == []
