"""The reference is scored as the champion is, on the same test side, in the same pass."""

from pathlib import Path
from typing import Any

import pytest

from serving.job import store
from serving.job.evaluation import Paired
from spark_jobs.evaluate import run_evaluate
from spark_jobs.spec import EvaluateSpec
from tests.spark_jobs.evaluation.outcomes import check_outcome
from tests.spark_jobs.tiny import CLASSES, write_bundle


def serve(database: Any, spec: EvaluateSpec, *, champion: str, reference: dict[str, Any]) -> None:
    document = {"version": 3, "generation": 5, "bundle_uri": champion, "reference": reference}
    database["deployments"].insert_one({"_id": spec.deployment, **document})


def test_reference_beside_a_champion_that_is_gone(
    spec: EvaluateSpec, tmp_path: Path, database: Any
) -> None:
    """The reference knows two classes only."""
    bundle = write_bundle(tmp_path / "reference", CLASSES[:2]).as_uri()
    gone = (tmp_path / "gone").as_uri()
    serve(database, spec, champion=gone, reference={"version": 2, "bundle_uri": bundle})
    outcome = run_evaluate(spec)
    check_outcome(outcome)
    assert outcome.champion.accuracy is None
    reference = outcome.reference
    assert reference is not None
    assert (reference.version, reference.bundle_uri) == (2, bundle)
    assert reference.accuracy == pytest.approx(10 / 18)
    assert reference.paired == Paired(both=10, challenger_only=0, champion_only=0, neither=2)
    assert f"The reference does not know {CLASSES[2]!r}" in reference.note
    report = store.read_bytes(outcome.report_uri).decode()
    assert "New versions are also held to version 2, the reference" in report


def test_reference_that_is_gone(spec: EvaluateSpec, tmp_path: Path, database: Any) -> None:
    bundle = write_bundle(tmp_path / "champion").as_uri()
    gone = (tmp_path / "gone").as_uri()
    serve(database, spec, champion=bundle, reference={"version": 2, "bundle_uri": gone})
    outcome = run_evaluate(spec)
    assert outcome.champion.paired == Paired(both=16, challenger_only=0, champion_only=0, neither=2)
    assert outcome.reference is not None
    assert outcome.reference.paired is None
    assert f"The reference's bundle {gone} cannot be scored" in outcome.reference.note


def test_a_champion_that_is_the_reference_is_scored_once(
    spec: EvaluateSpec, tmp_path: Path, database: Any
) -> None:
    bundle = write_bundle(tmp_path / "champion").as_uri()
    serve(database, spec, champion=bundle, reference={"version": 3, "bundle_uri": bundle})
    outcome = run_evaluate(spec)
    assert outcome.champion.paired is not None
    assert outcome.reference is None
