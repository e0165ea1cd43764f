"""The evaluate job: the bundle that would be served, and the champion, on the test side."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint, hash_model
from serving.job import store
from serving.job.errors import UserError
from serving.job.evaluation import BAD_CASES_FILE, EVALUATION_FILE, BadCase, Evaluation
from serving.job.suspects import SUSPECTS_FILE
from spark_jobs.administration.raw import locate_samples
from spark_jobs.champion import pack_champion, read_deployment, read_reference
from spark_jobs.database import connect
from spark_jobs.held_out import open_raw, read_held_out
from spark_jobs.judgement import Found, choose_operating_point, find_weakest, judge
from spark_jobs.leaks import Leaks, find_all_leaks
from spark_jobs.queueing import queue_found
from spark_jobs.reference import prepare_reference
from spark_jobs.report.files import REPORT_FILE, ReportFile, make_report
from spark_jobs.report.gallery import choose_cases
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.scored import pick_smoke_candidates
from spark_jobs.scoring import NO_NUMBERS, SCORED, pack_bundle, score_samples
from spark_jobs.session import make_frame, open_session
from spark_jobs.smoke import choose_smoke, make_smoke
from spark_jobs.spec import EvaluateOutcome, EvaluateSpec
from spark_jobs.stage_progress import show_progress
from spark_jobs.tracking import MlflowRun

SMOKE_FILE = "smoke.json"
REPORT_TAG = "modelmill.report"
BAD_CASE_SIDE = 320
NEAR_SIDE, NEAR_BYTES = 112, 3072


def _fetch_contents(spark: SparkSession, raw_uri: str, chosen: dict[str, str]) -> dict[str, bytes]:
    """sha256 → bytes; chosen: sha256 → segment."""
    if not chosen:
        return {}
    raw = open_raw(spark, raw_uri, chosen.values()).read()
    rows = raw.where(F.col("sha256").isin(sorted(chosen)))
    return {row["sha256"]: bytes(row["content"]) for row in rows.collect()}


def _score(
    spark: SparkSession,
    spec: EvaluateSpec,
    held: pa.Table,
    bundles: tuple[Path | None, ...],
    uri: str,
) -> DataFrame:
    """Rows of SCORED, as they were written: whatever is asked of them, nothing is scored twice."""
    raw = open_raw(spark, spec.raw_uri, held["segment"].to_pylist())
    wanted = make_frame(spark, held).withColumn("file", F.substring_index("segment", "/", -1))
    samples = raw.read().join(F.broadcast(wanted), on=["sha256", "file"], how="inner")
    with show_progress(spark):
        score_samples(spark, samples, bundles).write.parquet(uri)
    return spark.read.schema(SCORED).parquet(uri)


def _check_scored(test: DataFrame, held: pa.Table, bundle_uri: str) -> None:
    """UserError where bytes or numbers are missing."""
    wanted = held["side"].to_pylist().count("test")
    broken = F.count(F.when(F.col("predicted") == NO_NUMBERS, 1)).alias("broken")
    ((found, without),) = test.agg(F.count(F.lit(1)), broken).collect()
    if found != wanted:
        raise UserError(
            f"{wanted - found} of {wanted} test samples have no raw bytes "
            "any more: start a new run, whose snapshot leaves them out."
        )
    if without:
        raise UserError(
            f"The bundle {bundle_uri} answers {without} of {wanted} test samples with NaN or "
            "infinity instead of probabilities: its training has diverged. Train again, with "
            "another seed or fewer trials' freedom."
        )


def _make_report(
    spec: EvaluateSpec, found: Found, shown: Sequence[BadCase], contents: dict[str, bytes]
) -> tuple[ReportFile, ...]:
    """shown: those with a picture."""
    near = {near.sha256 for case in shown for near in case.neighbours}
    small = {sha: make_thumbnail(contents.get(sha, b""), NEAR_SIDE, NEAR_BYTES) for sha in near}
    large = {
        case.sha256: make_thumbnail(contents.get(case.sha256, b""), BAD_CASE_SIDE) for case in shown
    }
    return make_report(
        spec,
        evaluation=found.evaluation,
        cases=found.cases,
        champion=found.champion,
        reference=found.reference,
        lineage=found.manifest.lineage,
        thumbnails=small | large,
    )


def _choose_point(spec: EvaluateSpec, found: Found) -> OperatingPoint | None:
    model = store.read_bytes(store.join(spec.bundle_uri, MODEL_FILE))
    return choose_operating_point(spec, found.evaluation, hash_model(model))


def _write_found(outcome: EvaluateOutcome, found: Found, point: OperatingPoint | None) -> None:
    store.write_model(outcome.metrics_uri, found.evaluation)
    store.write_model(outcome.bad_cases_uri, found.cases)
    store.write_model(outcome.suspects_uri, found.suspects)
    if point is not None:
        store.write_model(outcome.operating_point_uri, point)


def _print_queue(database: Any, spec: EvaluateSpec, found: Found) -> None:
    queued = queue_found(database, spec, found.cases, found.suspects, found.manifest.task)
    waiting = queued.opened + queued.refreshed + queued.reopened
    ask = f"./modelmill review --dataset {spec.dataset}"
    print(f"{waiting} samples wait for a person: {ask}", flush=True)


def _log_to_mlflow(
    outcome: EvaluateOutcome,
    evaluation: Evaluation,
    spec: EvaluateSpec,
    report: tuple[ReportFile, ...],
) -> None:
    run = MlflowRun(spec.mlflow_run_id)
    if spec.report_address:
        run.set_tags({REPORT_TAG: spec.report_address})
        run.describe(f"[Report of run {spec.run_id}]({spec.report_address})")
    numbers = {
        "test_accuracy": evaluation.accuracy,
        "test_balanced_accuracy": evaluation.balanced_accuracy,
        "test_macro_f1": evaluation.macro.f1,
        "test_log_loss": evaluation.log_loss,
        "test_calibration_error": evaluation.calibration_error,
        "test_samples": float(evaluation.samples),
        "test_wrong": float(evaluation.wrong),
    }
    if evaluation.hamming_loss is not None:
        numbers["test_hamming_loss"] = evaluation.hamming_loss
    if evaluation.roc_auc is not None:
        numbers["test_roc_auc"] = evaluation.roc_auc
    if outcome.champion.accuracy is not None and outcome.champion.macro_f1 is not None:
        numbers["champion_test_accuracy"] = outcome.champion.accuracy
        numbers["champion_test_macro_f1"] = outcome.champion.macro_f1
    run.log_metrics(numbers)
    for file in report:
        run.log_artifact(file.name, file.content, file.media_type)
    content = evaluation.model_dump_json(indent=2).encode()
    run.log_artifact(EVALUATION_FILE, content, "application/json")


def run_evaluate(spec: EvaluateSpec) -> EvaluateOutcome:
    """Score, measure, and write predictions, metrics, bad cases, report and smoke samples."""
    started = time.monotonic()
    held = read_held_out(spec)
    with connect() as database:
        champion = read_deployment(database, spec.deployment)
        reference = read_reference(database, spec.deployment)
    manifest = store.read_model(store.join(spec.bundle_uri, MANIFEST_FILE), Manifest)
    spark = open_session(f"evaluate {spec.dataset}")
    print(f"Spark is up after {time.monotonic() - started:.1f} s", flush=True)
    champion, their_bundle, theirs = pack_champion(champion, manifest.task)
    leaks, their_leaks = find_all_leaks(spec, theirs.lineage if theirs else None)
    if their_leaks is not None:
        champion = champion.model_copy(update={"leaked": len(their_leaks.either)})
    held_to, held_bundle = prepare_reference(spec, reference, leaks, manifest.task)
    bundles = (pack_bundle(spec.bundle_uri), their_bundle, held_bundle)
    uri = store.join(spec.output_uri, "predictions")
    scored = _score(spark, spec, held, bundles, uri)
    test = scored.where(F.col("side") == "test")
    _check_scored(test, held, spec.bundle_uri)
    found = judge(
        spark,
        spec,
        scored,
        manifest,
        champion=champion,
        theirs=theirs.classes if theirs else (),
        without=leaks.either | (their_leaks or Leaks()).either,
        held_to=held_to,
    )
    candidates = pick_smoke_candidates(test, spec.smoke_samples, manifest.task)
    smoke = choose_smoke(candidates, spec.smoke_samples, manifest.task)
    shown = choose_cases(found.cases.cases, spec.max_bad_cases)
    hashes = {case.sha256 for case in shown}
    hashes |= {near.sha256 for case in shown for near in case.neighbours}
    with connect() as database:
        places = locate_samples(database, spec.dataset, hashes)
    chosen = {sha: store.join(spec.raw_uri, name) for sha, name in places.items() if name}
    chosen |= {one.sha256: one.segment for one in smoke}
    contents = _fetch_contents(spark, spec.raw_uri, chosen)
    report = _make_report(spec, found, shown, contents)
    point = _choose_point(spec, found)
    outcome = EvaluateOutcome(
        task=found.evaluation.task,
        accuracy=found.evaluation.accuracy,
        macro_f1=found.evaluation.macro.f1,
        test_samples=found.evaluation.samples,
        bad_cases=found.evaluation.wrong,
        weakest=find_weakest(found.evaluation),
        leaked=len(leaks.same),
        leaked_copies=len(leaks.copies),
        champion=found.champion,
        reference=found.reference,
        predictions_uri=uri,
        report_uri=store.join(spec.output_uri, REPORT_FILE),
        smoke_uri=store.join(spec.output_uri, SMOKE_FILE),
        metrics_uri=store.join(spec.output_uri, EVALUATION_FILE),
        bad_cases_uri=store.join(spec.output_uri, BAD_CASES_FILE),
        suspects_uri=store.join(spec.output_uri, SUSPECTS_FILE),
        operating_point_uri=store.join(spec.output_uri, OPERATING_POINT_FILE) if point else "",
    )
    for file in report:
        store.write_bytes(store.join(spec.output_uri, file.name), file.content)
    store.write_model(outcome.smoke_uri, make_smoke(smoke, contents))
    _write_found(outcome, found, point)
    with connect() as database:
        _print_queue(database, spec, found)
    _log_to_mlflow(outcome, found.evaluation, spec, report)
    print(
        f"accuracy {outcome.accuracy:.4f}, macro F1 {outcome.macro_f1:.4f} on "
        f"{outcome.test_samples} test samples; {time.monotonic() - started:.1f} s",
        flush=True,
    )
    return outcome
