"""The etl job: a dataset as it was at the cut-off → snapshot, features, rejected rows."""

import functools
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import Task
from serving.job import store
from serving.job.errors import UserError
from serving.job.inputs import InputFeatures
from serving.job.labels import read_task
from spark_jobs.context import CachedInput, StageContext
from spark_jobs.database import connect
from spark_jobs.etl_report import make_report, write_report
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.pairs import PairsCache
from spark_jobs.rejected import sum_up, write_rejected
from spark_jobs.report.pictures import add_pictures
from spark_jobs.report_models import EtlReport
from spark_jobs.runner import (
    Stage,
    StoppedChainError,
    find_dropping_stage,
    load_stages,
    run_stages,
    ship_stages,
    user_folder,
)
from spark_jobs.sample_weights import check_weights
from spark_jobs.schemas import WEIGHTS
from spark_jobs.session import open_session
from spark_jobs.snapshot_source import (
    confirm_snapshot,
    place_labels,
    read_manifest,
    read_snapshot_samples,
)
from spark_jobs.snapshots import (
    MANIFEST_FILE,
    SnapshotManifest,
    mark_purged,
    record_snapshot,
    write_snapshot,
)
from spark_jobs.spec import EtlOutcome, EtlSpec
from spark_jobs.stage_progress import show_progress
from spark_jobs.tables import (
    FeatureCache,
    check_dataset,
    feature_key,
    find_raw,
    read_samples,
)

MISSING = pa.schema([(name, pa.string()) for name in ("sha256", "name", "label")])
RESULT = (
    *("sha256", "name", "label", "group", "side", "segment", "flags"),
    *("reject_reason", "rejected_by"),
)

# What compute_features counts of each sample, over all inputs.
FEATURE_COUNTS = ("features_made", "features_reused")


@dataclass(frozen=True)
class Result:
    """Rows of RESULT, FEATURE_COUNTS, and WEIGHTS where a stage set them; what each stage rejected;
    samples without bytes. stopped: the sentence of a stage that cannot go on with what is left.
    """

    rows: pa.Table
    rejected_by: dict[str, int]
    missing: pa.Table
    stopped: str = ""

    @functools.cached_property
    def kept(self) -> pa.Table:
        """Rows that no stage rejected."""
        return self.rows.filter(pc.is_null(self.rows["reject_reason"]))


def _observe(rows: DataFrame, stages: list[Stage]) -> tuple[DataFrame, Observation]:
    """Count rows and what each stage rejected, in the action that reads the result."""
    counts = [
        F.count(F.when(F.col("rejected_by") == stage.name, 1)).alias(f"stage_{i}")
        for i, stage in enumerate(stages)
    ]
    observation = Observation("etl result")
    observed = rows.observe(observation, F.count(F.lit(1)).alias("rows"), *counts)
    return observed, observation


def _find_missing(wanted: pa.Table, found: pa.Table) -> pa.Table:
    there = set(found["sha256"].to_pylist())
    rows = [row for row in wanted.select(MISSING.names).to_pylist() if row["sha256"] not in there]
    return pa.Table.from_pylist(rows, MISSING)


def run_chain(wanted: pa.Table, stages: list[Stage], context: StageContext) -> Result:
    """Run the stages over samples that have no bytes yet."""
    read = Observation("etl input")
    samples = context.raw.join_to(wanted)
    stopped = ""
    try:
        result = run_stages(samples.observe(read, F.count(F.lit(1)).alias("rows")), stages, context)
    except StoppedChainError as error:
        result, stopped = error.rows, str(error)
    counted = [
        F.col(name) if name in result.columns else F.lit(0).alias(name) for name in FEATURE_COUNTS
    ]
    weights = [
        F.col(field.name).cast(field.dataType).alias(field.name)
        for field in WEIGHTS.fields
        if field.name in result.columns
    ]
    selected = result.select(*RESULT, *counted, *weights)
    rows, observation = _observe(selected, stages)
    with context.findings.time_step("result"):
        table = rows.toArrow()
    counts = observation.get
    if counts["rows"] != read.get["rows"]:
        culprit = find_dropping_stage(samples, stages, context)
        # None: what was observed is of tasks that were done again after an executor was lost.
        if culprit is not None:
            raise UserError(
                f"Stage {culprit!r} dropped or doubled rows: {read.get['rows']} went in, "
                f"{counts['rows']} came out of the chain. A stage sets reject_reason instead."
            )
    # The others were there to bind these, and are in no count, whatever a stage made of them.
    active = wanted.filter(pc.is_null(wanted["reject_reason"]))
    table = table.filter(pc.is_in(table["sha256"], active["sha256"]))
    missing = MISSING.empty_table()
    if active.num_rows > table.num_rows:
        missing = _find_missing(active, table)
    by = {stage.name: int(counts[f"stage_{i}"]) for i, stage in enumerate(stages)}
    return Result(table, by, missing, stopped)


def _report(
    spec: EtlSpec,
    context: StageContext,
    result: Result,
    rejected: pa.Table,
    manifest: SnapshotManifest | None,
) -> tuple[EtlReport, str]:
    """Write the report and its pictures; the report, and its address."""
    report = make_report(
        result.kept,
        rejected,
        context.findings,
        dataset=spec.dataset,
        rejected_by=result.rejected_by,
        manifest=manifest,
        task=context.task,
    )
    report = add_pictures(report, result.rows, spec.output_uri, context)
    return report, write_report(spec.output_uri, report)


def _check_result(spec: EtlSpec, context: StageContext, result: Result, rejected: pa.Table) -> None:
    """UserError where there is nothing to go on with; then the report lies there all the same."""
    sentence = result.stopped
    if not sentence and result.kept.num_rows == 0:
        sentence = f"Dataset {spec.dataset!r} has no usable sample at the cut-off time."
    if sentence and rejected.num_rows:
        report, uri = _report(spec, context, result, rejected, None)
        sentence += f" Of {report.samples} samples {sum_up(rejected)}. All of it: {uri}"
    if sentence:
        raise UserError(sentence)
    if result.kept["side"].null_count:
        raise UserError("No stage assigned the sides: add 'assign_sides' to the stages.")


def _make_context(spark: SparkSession, spec: EtlSpec, cutoff: datetime, task: Task) -> StageContext:
    keys = [feature_key(one.backbone.sha256, one.preprocessing) for one in spec.inputs]
    return StageContext(
        spark=spark,
        dataset=spec.dataset,
        seed=spec.seed,
        cutoff=cutoff,
        inputs=tuple(
            CachedInput(one, FeatureCache(spark, spec.features_uri, key))
            for one, key in zip(spec.inputs, keys, strict=True)
        ),
        facts=FactsCache(spark, spec.facts_uri),
        pairs=PairsCache(spark, spec.pairs_uri),
        raw=find_raw(spark, spec.dataset, spec.raw_uri),
        findings=Findings(),
        snapshot_id=spec.snapshot_id,
        task=task,
    )


def run_etl(spec: EtlSpec) -> EtlOutcome:
    """Make the snapshot; a second run of the same spec makes the same one."""
    started = time.monotonic()
    check_dataset(spec.dataset)
    folder = user_folder()
    stages = load_stages(spec.stages, folder)
    spark = open_session(f"etl {spec.dataset}")
    print(f"Spark is up after {time.monotonic() - started:.1f} s", flush=True)
    if folder is not None:
        ship_stages(spark, folder)
    cutoff = spec.cutoff if spec.cutoff.tzinfo else spec.cutoff.replace(tzinfo=UTC)
    if spec.snapshot_id:
        wanted, task = read_snapshot_samples(spec), read_manifest(spec).task
    else:
        wanted = read_samples(spark, spec.dataset, cutoff, spec.raw_uri).toArrow()
        with connect() as database:
            task = read_task(database, spec.dataset)
    context = _make_context(spark, spec, cutoff, task)
    with show_progress(spark):
        result = run_chain(wanted, stages, context)
    labels = result.kept
    rejected_uri = store.join(spec.output_uri, "rejected")
    rejected = write_rejected(rejected_uri, result.rows, result.missing)
    _check_result(spec, context, result, rejected)
    check_weights(labels)
    if spec.snapshot_id:
        manifest = confirm_snapshot(spec, result.rows, result.missing)
    else:
        manifest = write_snapshot(spec.snapshots_uri, spec.dataset, labels, task)
    snapshot_uri = store.join(spec.snapshots_uri, manifest.snapshot_id)
    with connect() as database:
        record_snapshot(database, manifest, store.join(snapshot_uri, MANIFEST_FILE), cutoff)
        mark_purged(database, spec.dataset, manifest.snapshot_id, labels["sha256"].to_pylist())
    made, reused = (int(pc.sum(labels[name]).as_py() or 0) for name in FEATURE_COUNTS)
    labels_uri = place_labels(spec, manifest.snapshot_id, labels)
    report, report_uri = _report(spec, context, result, rejected, manifest)
    outcome = EtlOutcome(
        task=task,
        snapshot_id=manifest.snapshot_id,
        labels_uri=labels_uri,
        features=tuple(
            InputFeatures(**dict(one.input), features_uri=one.cache.uri) for one in context.inputs
        ),
        rejected_uri=rejected_uri,
        report_uri=report_uri,
        classes=manifest.classes,
        counts=manifest.counts,
        rejected=report.rejected,
        stages=report.stages,
        features_made=made,
        features_reused=reused,
    )
    sides = ", ".join(f"{manifest.count_side(side)} {side}" for side in outcome.counts)
    print(
        f"snapshot {outcome.snapshot_id}: {sides}; {report.rejected} rejected; features: "
        f"{made} made, {reused} reused for {' and '.join(one.name for one in spec.inputs)}; "
        f"{time.monotonic() - started:.1f} s",
        flush=True,
    )
    return outcome
