"""The code reaches executors by what spark-submit sends, never by luck.

A standalone master and worker run in another folder and without PYTHONPATH.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.job import store
from serving.job.inputs import BackboneFile, Input
from serving.job.mongo import MONGO_VARIABLE
from spark_jobs.importing.job import run_import
from spark_jobs.runner import STAGES_VARIABLE
from spark_jobs.spec import EtlOutcome, EtlSpec, ImportSpec, StageSpec
from tests.spark_jobs.cluster import Cluster
from tests.spark_jobs.tiny import PREPROCESSING, write_tree

pytestmark = pytest.mark.integration

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
        pairs_uri=(tmp_path / "pairs").as_uri(),
        inputs=(Input(backbone=backbone, preprocessing=PREPROCESSING),),
        stages=tuple(StageSpec(name=name) for name in chain),
    )


def test_etl_with_a_users_stage_on_a_bare_worker(
    *, bare_worker: Cluster, connector: None, spec: EtlSpec, tmp_path: Path, mongo_server: str
) -> None:
    variables = {STAGES_VARIABLE: str(tmp_path / "stages"), MONGO_VARIABLE: mongo_server}
    job = bare_worker.submit(spec, variables)
    log, _ = job.communicate(timeout=300)
    assert job.returncode == 0, log[-4000:]
    outcome = store.read_model(store.join(spec.output_uri, "outcome.json"), EtlOutcome)
    assert (outcome.features_made, outcome.rejected) == (10, 5)
    assert list(bare_worker.folder.glob("work0/app-*/0"))
    wrong = spec.model_copy(update={"stages": (StageSpec(name="reject_gren"),)})
    told = bare_worker.submit(wrong, variables)
    log, _ = told.communicate(timeout=300)
    assert told.returncode == 64
    assert "Did you mean 'reject_green'" in log
