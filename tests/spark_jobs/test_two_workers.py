"""Where a job runs changes nothing: two workers, one of them killed, and one process agree."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from serving.job import store
from serving.job.mongo import MONGO_VARIABLE
from spark_jobs.etl import run_etl
from spark_jobs.importing.job import run_import
from spark_jobs.runner import STAGES_VARIABLE
from spark_jobs.spec import EtlOutcome, EtlSpec, ImportSpec, StageSpec
from tests.spark_jobs.cluster import Cluster, kill, run_cluster
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.near_duplicates.pictures import COPIES, copy_picture, encode
from tests.spark_jobs.whole_chain import CHAIN, make_picture, write

pytestmark = pytest.mark.integration

CLASSES = ("<b>bold", "键盘")
PER_CLASS = 10
STAGE = '''
"""Say that the job is under way, and take a while; in the executors."""
import os
import time
from pathlib import Path
from pyspark.sql import functions as F

MARKS = Path({marks!r})

def wait(name):
    (MARKS / f"{{os.getpid()}}").touch()
    time.sleep(0.2)
    return True

def run(samples, params):
    waited = F.udf(wait, "boolean")("name")
    return samples.withColumn("name", F.when(waited, F.col("name")))
'''
# Where other tests keep the machine busy, Spark alone takes minutes to start on a worker.
WAIT = 300
# Else the worker that is there first may have done all before the other one comes.
ON_BOTH = {
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{WAIT}s",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with run_cluster(tmp_path / "elsewhere", workers=2, cores=1) as cluster:
        yield cluster


@pytest.fixture
def slow_stage(tmp_path: Path) -> Path:
    """The folder of a user's stage; its marks go to `marks` beside it."""
    (tmp_path / "marks").mkdir()
    stage = STAGE.format(marks=str(tmp_path / "marks"))
    write(tmp_path / "stages", "wait_a_little.py", stage.encode())
    return tmp_path / "stages"


@pytest.fixture
def import_as(
    import_root: Path, tmp_path: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Import the same pictures, with copies of some, under a name."""
    # Several segments: a worker takes whole ones.
    monkeypatch.setattr("serving.job.segments.SEGMENT_BYTES", 150_000)
    chance = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        for i in range(PER_CLASS):
            write(import_root / name, f"{i}.png", make_picture(PER_CLASS * number + i))
        for i, kind in enumerate(COPIES):
            content = copy_picture(make_picture(PER_CLASS * number + i), kind, chance)
            write(import_root / name, f"copy {i}", content)
    write(import_root / CLASSES[0], "night.png", encode(Image.new("RGB", (90, 90)), "PNG"))

    def run(dataset: str) -> None:
        run_import(
            ImportSpec(
                output_uri=(tmp_path / "out").as_uri(),
                dataset=dataset,
                source_uri=import_root.as_uri(),
                raw_uri=(tmp_path / "raw").as_uri(),
            )
        )

    return run


def read_all(uri: str) -> dict[str, dict[str, Any]]:
    """Rows of a cache, by sample; every sample is there once."""
    names = [name for name in store.list_names(uri) if name.endswith(".parquet")]
    files = [store.join(uri, name).removeprefix("file://") for name in names]
    rows = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
    found = {row["sha256"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def read_result(spec: EtlSpec, outcome: EtlOutcome) -> tuple[object, ...]:
    """Everything that a run decided or made: sides, groups, vectors, looks, rejections."""
    labels = pq.read_table(outcome.labels_uri.removeprefix("file://"))
    rejected = pq.read_table(f"{outcome.rejected_uri}/rejected.parquet".removeprefix("file://"))
    (facts,) = (name for name in store.list_names(spec.facts_uri) if name[0] != ".")
    return (
        labels.drop_columns(["segment"]).to_pylist(),
        rejected.to_pylist(),
        [read_all(one.features_uri) for one in outcome.features],
        read_all(store.join(spec.facts_uri, facts)),
        (outcome.counts, outcome.rejected, outcome.stages, outcome.features_made),
    )


def wait_for_two(marks: Path, job: Any) -> None:
    """Until both workers are at work."""
    end = time.monotonic() + WAIT
    while len(list(marks.iterdir())) < 2:
        assert job.poll() is None, job.stdout.read()[-4000:]
        assert time.monotonic() < end, "the job did not start on two workers"
        time.sleep(0.1)


def test_the_same_on_one_process_and_on_two_workers_of_which_one_dies(
    *,
    cluster: Cluster,
    make_spec: MakeSpec,
    import_as: Callable[[str], None],
    slow_stage: Path,
    dataset: str,
    mongo_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(STAGES_VARIABLE, str(slow_stage))
    params: dict[str, dict[str, Any]] = {"flag_quality": {"reject": ["too_dark"]}}
    names = (CHAIN[0], "wait_a_little", *CHAIN[1:])
    chain = tuple(StageSpec(name=name, params=params.get(name, {})) for name in names)

    def plan(name: str) -> EtlSpec:
        import_as(f"{dataset}-{name}")
        folder = tmp_path / name
        places = {
            key: (folder / key).as_uri()
            for key in ("output_uri", "features_uri", "facts_uri", "pairs_uri")
        }
        return make_spec(dataset=f"{dataset}-{name}", stages=chain, **places)

    here = plan("here")
    outcome = run_etl(here)
    expected = read_result(here, outcome)
    assert outcome.rejected == 1
    for name, dies in (("both", False), ("one", True)):
        for mark in (tmp_path / "marks").iterdir():
            mark.unlink()
        there = plan(name)
        variables = {STAGES_VARIABLE: str(slow_stage), MONGO_VARIABLE: mongo_server}
        job = cluster.submit(there, variables, ON_BOTH)
        wait_for_two(tmp_path / "marks", job)
        if dies:
            kill(cluster.workers[0])
        log, _ = job.communicate(timeout=2 * WAIT)
        assert job.returncode == 0, log[-4000:]
        outcome = store.read_model(store.join(there.output_uri, "outcome.json"), EtlOutcome)
        assert read_result(there, outcome) == expected
