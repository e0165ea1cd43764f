"""The evaluate job against a real database and a real MLflow."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import requests
from pydantic import ValidationError

from serving.bundle.predictor import Predictor
from serving.job import store
from serving.job.errors import UserError
from serving.job.evaluation import BadCases, Paired
from serving.job.samples import delete_sample, read_sample
from serving.job.smoke import SmokeSamples
from spark_jobs.administration.purge import purge_samples
from spark_jobs.administration.spec import PurgeSpec
from spark_jobs.evaluate import run_evaluate
from spark_jobs.snapshots import LABELS, LABELS_FILE
from spark_jobs.spec import EvaluateOutcome, EvaluateSpec
from spark_jobs.tracking import NOTE_TAG
from tests.spark_jobs.evaluation.outcomes import LEFT_OUT, TRAINED_ON, check_outcome
from tests.spark_jobs.tiny import (
    CLASSES,
    write_bundle,
)


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
    assert report.count('<figure class="case"') == 1
    assert "&lt;b&gt;bold" in report
    assert report.count(LEFT_OUT) == 1
    run = requests.get(
        f"{mlflow_server}/api/2.0/mlflow/runs/get",
        params={"run_id": spec.mlflow_run_id},
        timeout=60,
    ).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tags["modelmill.report"] == spec.report_address
    assert tags[NOTE_TAG] == f"[Report of run {spec.run_id}]({spec.report_address})"
    logged = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert logged["test_accuracy"] == pytest.approx(outcome.accuracy)
    files = requests.get(
        f"{mlflow_server}/api/2.0/mlflow/artifacts/list",
        params={"run_id": spec.mlflow_run_id},
        timeout=60,
    ).json()["files"]
    assert {file["path"] for file in files} >= {
        *("report.html", "report.json", "report.schema.json"),
        "metrics.json",
    }


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


def test_what_a_model_learned_from_is_no_part_of_the_comparison(
    spec: EvaluateSpec, tmp_path: Path, database: Any
) -> None:
    """The champion's snapshot had two of today's test pictures on its train side."""
    bundle = write_bundle(tmp_path / "champion")
    document = {"version": 3, "generation": 5, "bundle_uri": bundle.as_uri()}
    database["deployments"].insert_one({"_id": spec.deployment, **document})
    today = pq.read_table(tmp_path / "snapshots" / spec.snapshot_id / LABELS_FILE)
    names = [f"{CLASSES[0]}/0.png", f"{CLASSES[1]}/0.png"]
    met = [{**row, "side": "train"} for row in today.to_pylist() if row["name"] in names]
    theirs = tmp_path / "snapshots" / ("0" * 20)
    theirs.mkdir()
    pq.write_table(pa.Table.from_pylist(met, LABELS), theirs / LABELS_FILE)
    snapshots_uri = (tmp_path / "snapshots").as_uri()
    outcome = run_evaluate(spec.model_copy(update={"snapshots_uri": snapshots_uri}))
    check_outcome(outcome)
    assert (outcome.leaked, outcome.leaked_copies) == (0, 0)
    assert outcome.champion.leaked == 2
    # One of the two is a picture that both see wrongly.
    assert outcome.champion.paired == Paired(both=15, challenger_only=0, champion_only=0, neither=1)
    assert outcome.champion.accuracy == pytest.approx(16 / 18)


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

    def count_pictures(outcome: EvaluateOutcome) -> int:
        return store.read_bytes(outcome.report_uri).count(b"data:image/jpeg;base64,")

    before = run_evaluate(spec.model_copy(update={"output_uri": f"{spec.output_uri}-before"}))
    purge(spec, database, TRAINED_ON)
    outcome = run_evaluate(spec)
    check_outcome(outcome)
    assert count_pictures(outcome) == count_pictures(before) > 0


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


def test_a_snapshot_without_a_test_side_is_told(spec: EvaluateSpec, tmp_path: Path) -> None:
    labels = pq.read_table(tmp_path / "snapshots" / spec.snapshot_id / LABELS_FILE)
    rest = labels.filter(pc.not_equal(labels["side"], "test"))
    file = tmp_path / "without_test.parquet"
    pq.write_table(rest, file)
    with pytest.raises(UserError, match="has no test side: nothing can be measured"):
        run_evaluate(spec.model_copy(update={"labels_uri": file.as_uri()}))
