"""The predict job: a version's bundle answers every picture of a folder or a dataset, in Spark."""

import time
import uuid
from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import SEVERAL
from serving.bundle.predictor import BadBundleError, find_threshold
from serving.bundle_files import OPTIONAL_FILES
from serving.job import store
from serving.job.errors import UserError
from serving.versions import find_version
from spark_jobs.arrays import make_array
from spark_jobs.database import connect
from spark_jobs.held_out import open_raw
from spark_jobs.importing.detecting import open_tree
from spark_jobs.importing.folders import list_visible
from spark_jobs.importing.source import RefusedFileError, Tree
from spark_jobs.predict_spec import SUMMARY_FILE, PredictOutcome, PredictSpec
from spark_jobs.predicted import PREDICTED, make_answerer
from spark_jobs.scoring import open_bundle, pack_bundle
from spark_jobs.session import TASKS_PER_CORE, make_frame, open_session
from spark_jobs.stage_progress import show_progress

# Enough for a task to be worth its start, few enough to show progress.
FILES_PER_TASK = 500
GONE = "its bytes are not in the raw segments any more"


def _fail(spark: SparkSession, failed: Sequence[tuple[str, str]]) -> DataFrame:
    """Rows of PREDICTED; failed: path and reason."""
    without = (None,) * (len(PREDICTED) - 2)
    return spark.createDataFrame([(path, *without, why) for path, why in failed], PREDICTED)


def _list(tree: Tree) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Every file's path below the root and its place; and what cannot be listed, with the reason.

    Spark's own reader would leave out empty files and those whose names begin with _.
    """
    files, failed, start = [], [], len(tree.root.rstrip("/")) + 1
    pending = [tree.root]
    while pending:
        folder = pending.pop()
        try:
            entries = list_visible(tree, folder)
        except RefusedFileError as error:
            failed.append((folder[start:], f"the folder cannot be read: {error}"))
            continue
        for entry in entries:
            if entry.refusal:
                failed.append((entry.path[start:], entry.refusal))
            elif entry.is_folder:
                pending.append(entry.path)
            else:
                files.append((entry.path[start:], entry.path))
    return sorted(files), failed


def _open_folder(spark: SparkSession, uri: str, bundle: str) -> DataFrame:
    """Rows of PREDICTED of every file; raises UserError, SourceDownError."""
    tree, name = open_tree(uri)
    if name:
        raise UserError(f"{uri} is no folder but a file.")
    files, failed = _list(tree)
    if not files:
        raise UserError(f"{uri} holds no file: nothing to predict.")
    columns = {
        "path": make_array([path for path, _ in files], pa.string()),
        "place": make_array([place for _, place in files], pa.string()),
    }
    cores = spark.sparkContext.defaultParallelism
    tasks = min(len(files), max(TASKS_PER_CORE * cores, len(files) // FILES_PER_TASK))
    rows = make_frame(spark, pa.table(columns)).repartition(tasks)
    answers = rows.mapInArrow(make_answerer(bundle, tree), PREDICTED)
    return answers.unionByName(_fail(spark, failed))


def _open_dataset(spark: SparkSession, spec: PredictSpec, bundle: str) -> DataFrame:
    """The same for the active samples of a dataset; what has no bytes has failed."""
    with connect() as database:
        wanted = {"dataset": spec.dataset, "state": "active"}
        shape = {"_id": 0, "sha256": 1, "name": 1, "segment": 1}
        rows = list(database["samples"].find(wanted, shape))
    if not rows:
        raise UserError(f"Dataset {spec.dataset!r} has no active sample: nothing to predict.")
    table = pa.table(
        {
            "sha256": make_array([row["sha256"] for row in rows], pa.string()),
            "path": make_array([row["name"] for row in rows], pa.string()),
            "file": make_array(
                [(row["segment"] or "").rsplit("/", 1)[-1] for row in rows], pa.string()
            ),
        }
    )
    samples = make_frame(spark, table)
    raw = open_raw(spark, spec.raw_uri, {row["segment"] for row in rows if row["segment"]}).read()
    # A segment may hold a sample twice.
    there = raw.join(F.broadcast(samples), on=["sha256", "file"], how="inner")
    once = there.dropDuplicates(["sha256"]).select("path", "content")
    known = raw.select("sha256", "file").distinct()
    gone = samples.join(F.broadcast(known), on=["sha256", "file"], how="left_anti")
    failed = _fail(spark, [(row["path"], GONE) for row in gone.select("path").collect()])
    return once.mapInArrow(make_answerer(bundle), PREDICTED).unionByName(failed)


def _count(answers: DataFrame) -> tuple[int, int, int]:
    """Answered, of these declined, failed."""
    counts = (F.count(F.lit(1)), F.count("error"), F.count_if("declined"))
    ((files, failed, declined),) = answers.agg(*counts).collect()
    return files - failed, declined, failed


def _check_target(spec: PredictSpec) -> PredictOutcome | None:
    """What an earlier attempt of this very request has left, if anything; raises UserError."""
    if not store.exists(spec.target_uri):
        return None
    try:
        earlier = store.read_model(store.join(spec.target_uri, SUMMARY_FILE), PredictOutcome)
    except (FileNotFoundError, ValueError):
        earlier = None
    if earlier is not None and earlier.request_id == spec.request_id:
        return earlier
    raise UserError(f"{spec.target_uri} is there already: name a folder that is not.")


def run_predict(spec: PredictSpec) -> PredictOutcome:
    """Answers as Parquet files in target_uri, and a summary beside them; whole or not at all."""
    done = _check_target(spec)
    if done is not None:
        return done
    begin = time.monotonic()
    found = find_version(spec.deployment, spec.version)
    spark = open_session(f"predict {spec.deployment}")
    try:
        bundle = pack_bundle(found.bundle_uri, optional=OPTIONAL_FILES)
        predictor = open_bundle(bundle)
    except (FileNotFoundError, BadBundleError) as error:
        raise UserError(
            f"{spec.deployment} version {found.version} has no bundle to predict with: {error}"
        ) from None
    spark.sparkContext.addFile(str(bundle))
    if spec.folder_uri:
        answers = _open_folder(spark, spec.folder_uri, bundle.name)
    else:
        answers = _open_dataset(spark, spec, bundle.name)
    part = f"{spec.target_uri.rstrip('/')}.part-{uuid.uuid4().hex[:8]}"
    try:
        with show_progress(spark):
            answers.write.parquet(part)
        predicted, declined, without = _count(spark.read.schema(PREDICTED).parquet(part))
        outcome = PredictOutcome(
            deployment=spec.deployment,
            version=found.version,
            files=predicted + without,
            predicted=predicted,
            declined=declined,
            decline_below=0.0 if predictor.manifest.task == SEVERAL else find_threshold(predictor),
            failed=without,
            classes=predictor.manifest.classes,
            target_uri=spec.target_uri,
            request_id=spec.request_id,
            seconds=time.monotonic() - begin,
        )
        store.write_model(store.join(part, SUMMARY_FILE), outcome)
        if not store.rename(part, spec.target_uri):
            raise UserError(f"{spec.target_uri} is there already: name a folder that is not.")
    finally:
        store.delete(part)
    rate = outcome.files / max(outcome.seconds, 1e-9)
    print(
        f"{predicted} predicted, of these {declined} declined, {without} failed, {rate:.1f} img/s: "
        f"{spec.target_uri}",
        flush=True,
    )
    return outcome
