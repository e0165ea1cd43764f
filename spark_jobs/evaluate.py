"""The evaluate job: the bundle that would be served, and the champion, on the test side."""

import io
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import MANIFEST_FILE, Lineage, Manifest
from serving.bundle.predictor import BadBundleError
from serving.job import store
from serving.job.errors import UserError
from spark_jobs.arrays import make_array
from spark_jobs.database import connect
from spark_jobs.held_out import open_raw, read_test_side
from spark_jobs.metrics.classification import Metrics, compute_metrics, count_pairs
from spark_jobs.report.page import BadCase, ReportData, render_report
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.report_models import EtlReport, Pictures
from spark_jobs.scoring import open_bundle, pack_bundle, score_samples
from spark_jobs.session import make_frame, open_session
from spark_jobs.smoke import choose_smoke, make_smoke
from spark_jobs.spec import Champion, EvaluateOutcome, EvaluateSpec, Prediction
from spark_jobs.stage_progress import show_progress
from spark_jobs.tracking import MlflowRun

REPORT_FILE = "report.html"
METRICS_FILE = "metrics.json"
SMOKE_FILE = "smoke.json"
BAD_CASE_SIDE = 320


def read_deployment(database: Any, name: str) -> tuple[Champion, str]:
    """The deployment as it is now, and its bundle's URI; generation 0 where there is none."""
    document = database["deployments"].find_one({"_id": name})
    if document is None:
        return Champion(generation=0), ""
    champion = Champion(
        generation=document["generation"],
        version=document.get("version"),
        bundle_uri=document.get("bundle_uri") or "",
    )
    return champion, champion.bundle_uri


def _pack_champion(bundle_uri: str) -> list[Path]:
    if not bundle_uri:
        return []
    try:
        path = pack_bundle(bundle_uri)
        open_bundle(path)
    except (FileNotFoundError, BadBundleError) as error:
        print(f"The champion's bundle {bundle_uri} cannot be scored: {error}", flush=True)
        return []
    return [path]


def _fetch_contents(
    spark: SparkSession, raw_uri: str, chosen: Sequence[Prediction]
) -> dict[str, bytes]:
    if not chosen:
        return {}
    raw = open_raw(spark, raw_uri, (p.segment for p in chosen)).read()
    rows = raw.where(F.col("sha256").isin(sorted({p.sha256 for p in chosen})))
    return {row["sha256"]: bytes(row["content"]) for row in rows.collect()}


def _score(
    spark: SparkSession, raw_uri: str, test: pa.Table, bundles: tuple[Path, ...]
) -> pa.Table:
    """Rows of SCORED. The work is the executors'; what comes back is as small as the labels."""
    raw = open_raw(spark, raw_uri, test["segment"].to_pylist())
    wanted = make_frame(spark, test).withColumn("file", F.substring_index("segment", "/", -1))
    samples = raw.read().join(F.broadcast(wanted), on=["sha256", "file"], how="inner")
    scored = score_samples(spark, samples, bundles).toArrow().sort_by("sha256")
    if scored.num_rows != test.num_rows:
        raise UserError(
            f"{test.num_rows - scored.num_rows} of {test.num_rows} test samples have no raw bytes "
            "any more: start a new run, whose snapshot leaves them out."
        )
    return scored


def _write_predictions(uri: str, scored: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(scored, buffer)
    store.write_bytes(store.join(uri, "predictions.parquet"), buffer.getvalue())


def _to_predictions(rows: pa.Table) -> list[Prediction]:
    found = rows.drop_columns(["champion_predicted"]).to_pylist()
    return [Prediction.model_validate(row) for row in found]


def _worst(scored: pa.Table, count: int) -> list[Prediction]:
    wrong = scored.filter(pc.not_equal(scored["predicted"], scored["label"]))
    rows = wrong.sort_by([("score", "descending"), ("sha256", "ascending")])
    return _to_predictions(rows.slice(0, count))


def _smoke_candidates(scored: pa.Table, count: int) -> list[Prediction]:
    """The `count` smallest samples of each class and each kind of answer."""
    rows = scored.sort_by([("size_bytes", "ascending"), ("sha256", "ascending")])
    columns = (rows[name].to_pylist() for name in ("label", "predicted", "score"))
    seen: Counter[tuple[str, bool, bool]] = Counter()
    chosen = []
    for number, (label, predicted, score) in enumerate(zip(*columns, strict=True)):
        kind = (label, predicted == label, score < 0.6)
        seen[kind] += 1
        if seen[kind] <= count:
            chosen.append(number)
    return _to_predictions(rows.take(make_array(chosen, pa.int64())))


def _measure_champion(scored: pa.Table, champion: Champion, classes: tuple[str, ...]) -> Champion:
    metrics = compute_metrics(count_pairs(scored, "champion_predicted"), classes)
    update = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1}
    return champion.model_copy(update=update)


def _bad_cases(worst: list[Prediction], contents: dict[str, bytes]) -> tuple[BadCase, ...]:
    return tuple(
        BadCase(
            name=p.name,
            label=p.label,
            predicted=p.predicted,
            score=p.score,
            thumbnail=make_thumbnail(contents.get(p.sha256, b""), BAD_CASE_SIDE),
        )
        for p in worst
    )


def _make_report(
    spec: EvaluateSpec,
    metrics: Metrics,
    champion: Champion,
    lineage: Lineage,
    bad: tuple[BadCase, ...],
) -> str:
    etl = store.read_model(spec.etl_report_uri, EtlReport)
    pictures = Pictures(pictures=())
    if etl.pictures_uri:
        pictures = store.read_model(etl.pictures_uri, Pictures)
    data = ReportData(
        run_id=spec.run_id,
        dataset=spec.dataset,
        deployment=spec.deployment,
        snapshot_id=spec.snapshot_id,
        lineage=lineage,
        min_accuracy=spec.min_accuracy,
        accuracy=metrics.accuracy,
        macro_f1=metrics.macro_f1,
        test_samples=metrics.samples,
        classes=metrics.classes,
        per_class=metrics.per_class,
        confusion=metrics.confusion,
        wrong=metrics.wrong,
        bad_cases=bad,
        champion=champion,
        etl=etl,
        etl_pictures=pictures,
    )
    return render_report(data)


def _log_to_mlflow(outcome: EvaluateOutcome, run_id: str, report: str) -> None:
    run = MlflowRun(run_id)
    numbers = {
        "test_accuracy": outcome.accuracy,
        "test_macro_f1": outcome.macro_f1,
        "test_samples": float(outcome.test_samples),
        "test_wrong": float(outcome.bad_cases),
    }
    if outcome.champion.accuracy is not None and outcome.champion.macro_f1 is not None:
        numbers["champion_test_accuracy"] = outcome.champion.accuracy
        numbers["champion_test_macro_f1"] = outcome.champion.macro_f1
    run.log_metrics(numbers)
    run.log_artifact(REPORT_FILE, report.encode(), "text/html")
    run.log_artifact(METRICS_FILE, outcome.model_dump_json(indent=2).encode(), "application/json")


def run_evaluate(spec: EvaluateSpec) -> EvaluateOutcome:
    """Score, measure, and write predictions, metrics, report and smoke samples."""
    started = time.monotonic()
    test = read_test_side(spec)
    with connect() as database:
        champion, champion_uri = read_deployment(database, spec.deployment)
    manifest = store.read_model(store.join(spec.bundle_uri, MANIFEST_FILE), Manifest)
    spark = open_session(f"evaluate {spec.dataset}")
    print(f"Spark is up after {time.monotonic() - started:.1f} s", flush=True)
    bundles = (pack_bundle(spec.bundle_uri), *_pack_champion(champion_uri))
    with show_progress(spark):
        scored = _score(spark, spec.raw_uri, test, bundles)
    metrics = compute_metrics(count_pairs(scored), manifest.classes)
    if len(bundles) > 1:
        champion = _measure_champion(scored, champion, manifest.classes)
    predictions_uri = store.join(spec.output_uri, "predictions")
    _write_predictions(predictions_uri, scored)
    worst = _worst(scored, spec.max_bad_cases)
    smoke = choose_smoke(_smoke_candidates(scored, spec.smoke_samples), spec.smoke_samples)
    contents = _fetch_contents(spark, spec.raw_uri, (*worst, *smoke))
    report = _make_report(spec, metrics, champion, manifest.lineage, _bad_cases(worst, contents))
    outcome = EvaluateOutcome(
        accuracy=metrics.accuracy,
        macro_f1=metrics.macro_f1,
        test_samples=metrics.samples,
        classes=metrics.classes,
        per_class=metrics.per_class,
        confusion=metrics.confusion,
        bad_cases=metrics.wrong,
        champion=champion,
        predictions_uri=predictions_uri,
        report_uri=store.join(spec.output_uri, REPORT_FILE),
        smoke_uri=store.join(spec.output_uri, SMOKE_FILE),
    )
    store.write_bytes(outcome.report_uri, report.encode())
    store.write_model(outcome.smoke_uri, make_smoke(smoke, contents))
    store.write_model(store.join(spec.output_uri, METRICS_FILE), outcome)
    _log_to_mlflow(outcome, spec.mlflow_run_id, report)
    print(
        f"accuracy {outcome.accuracy:.4f}, macro F1 {outcome.macro_f1:.4f} on "
        f"{outcome.test_samples} test samples; {time.monotonic() - started:.1f} s",
        flush=True,
    )
    return outcome
