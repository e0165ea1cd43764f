"""The evaluate job where a picture may have several labels."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.bundle.manifest import SEVERAL
from serving.job import store
from serving.job.evaluation import BadCases, Evaluation, Paired
from serving.job.reviews import list_reviews
from serving.job.smoke import SmokeSamples
from serving.job.suspects import Suspects
from spark_jobs.evaluate import run_evaluate
from spark_jobs.snapshots import LABELS
from spark_jobs.spec import EvaluateSpec
from tests.spark_jobs.tiny import CLASSES, write_bundle, write_several

RED, PALE, BLUE = CLASSES
BOTH = f"{RED}|{PALE}"


@pytest.fixture
def several(spec: EvaluateSpec, database: Any, tmp_path: Path) -> EvaluateSpec:
    """Red pictures have two labels, but for the two of conftest.py, which lack one; one blue one is
    labelled as red, too.
    """
    rows = pq.read_table(spec.labels_uri.removeprefix("file://")).to_pylist()
    for row in rows:
        if row["label"] == RED:
            row["label"] = BOTH
        if row["name"] == f"{BLUE}/0.png":
            row["label"] = f"{RED}|{BLUE}"
        key = {"dataset": spec.dataset, "sha256": row["sha256"]}
        database["samples"].update_one(key, {"$set": {"label": row["label"]}})
    file = tmp_path / "several.parquet"
    pq.write_table(pa.Table.from_pylist(rows, LABELS), file)
    bundle = write_several(tmp_path / "several")
    return spec.model_copy(update={"labels_uri": file.as_uri(), "bundle_uri": bundle.as_uri()})


def serve(database: Any, spec: EvaluateSpec, bundle: Path) -> None:
    document = {"version": 3, "generation": 5, "bundle_uri": bundle.as_uri()}
    database["deployments"].insert_one({"_id": spec.deployment, **document})


def check_evaluation(found: Evaluation) -> None:
    assert (found.task, found.classes, found.samples, found.wrong) == (SEVERAL, CLASSES, 18, 3)
    assert found.accuracy == pytest.approx(15 / 18)
    assert found.hamming_loss == pytest.approx(3 / 54)
    assert (found.declining, found.confusion, found.top_k) == (None, (), {})
    red, pale, blue = found.per_class
    assert (red.support, red.predicted, red.threshold) == (7, 8, 0.5)
    assert [red.precision, red.recall] == pytest.approx([6 / 8, 6 / 7])
    assert (pale.f1, blue.f1, pale.support, blue.support) == (1, 1, 12, 6)
    assert red.threshold_recall == red.recall
    mixed = [(one.label, one.predicted, one.samples) for one in found.mix_ups]
    assert mixed == [("", RED, 2), (RED, "", 1)]


def test_each_label_is_found_or_not(several: EvaluateSpec, tmp_path: Path, database: Any) -> None:
    outcome = run_evaluate(several)
    check_evaluation(store.read_model(outcome.metrics_uri, Evaluation))
    assert outcome.operating_point_uri == ""
    assert (outcome.bad_cases, outcome.champion.version) == (3, None)
    assert outcome.weakest is not None
    assert outcome.weakest.label == RED
    scored = pq.read_table(tmp_path / "out" / "predictions").to_pylist()
    for row in scored:
        sure = [score if score >= 0.5 else 1 - score for score in row["scores"]]
        assert row["score"] == pytest.approx(min(sure))
    smoke = store.read_model(outcome.smoke_uri, SmokeSamples)
    # All classes; a picture of two shows both.
    assert {one.predicted for one in smoke.samples} == {BOTH, BLUE}
    cases = store.read_model(outcome.bad_cases_uri, BadCases).cases
    wrong = sorted((case.label, case.predicted) for case in cases)
    assert wrong == [(f"{RED}|{BLUE}", BLUE), (PALE, BOTH), (PALE, BOTH)]
    suspects = store.read_model(outcome.suspects_uri, Suspects).suspects
    doubted = {one.sha256: one for one in suspects}
    for case in cases:
        assert doubted[case.sha256].suspected == case.predicted
        told = "missing" if case.label == PALE else "wrong"
        assert f"{RED!r} may be {told}" in case.reasons[0]
    queue = list_reviews(database, several.dataset, limit=10)
    assert {(one.label, one.predicted) for one in queue.items} == set(wrong)
    assert all(one.suspicion > 0.8 for one in queue.items)


def test_a_champion_that_knows_fewer_labels(
    several: EvaluateSpec, tmp_path: Path, database: Any
) -> None:
    """Compared on samples of which it knows all labels: it is wrong, too, where these are wrong."""
    serve(database, several, write_several(tmp_path / "champion", CLASSES[:2]))
    champion = run_evaluate(several).champion
    assert champion.accuracy == pytest.approx(10 / 18)
    assert champion.paired == Paired(both=10, challenger_only=0, champion_only=0, neither=2)
    assert f"does not know {BLUE!r}" in champion.note


def test_a_champion_of_one_label_is_not_compared(
    several: EvaluateSpec, tmp_path: Path, database: Any
) -> None:
    serve(database, several, write_bundle(tmp_path / "champion"))
    champion = run_evaluate(several).champion
    assert (champion.version, champion.accuracy, champion.paired) == (3, None, None)
    assert champion.other_task
    assert "gives one label a picture, the new model several labels" in champion.note
