"""Fencing, on the local file system and on a real HDFS where one is there."""

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.attempts import (
    Attempt,
    StaleAttemptError,
    Work,
    acquire,
    attempt_uri,
    commit,
    read_committed,
)
from serving.bundle.manifest import Preprocessing
from serving.job import store
from serving.job.inputs import BackboneFile, InputFeatures
from serving.job.spec import JobSpec
from spark_jobs.spec import EvaluateSpec, ImportSpec
from training.spec import TrainSpec

WORK = Work(spec_hash="f", code_version="c")


@pytest.fixture(params=["file", pytest.param("hdfs", marks=pytest.mark.integration)])
def task_uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield f"{tmp_path.as_uri()}/task"
        return
    if not os.environ.get(store.WEBHDFS_VARIABLE):
        pytest.skip(f"{store.WEBHDFS_VARIABLE} is not set")
    uri = f"hdfs://any/tmp/attempts-{uuid.uuid4().hex}"
    yield uri
    store.delete(uri)


def test_commit_names_the_attempt(task_uri: str) -> None:
    attempt = acquire(task_uri, 1, 1, WORK)
    assert read_committed(task_uri) is None
    commit(attempt)
    assert read_committed(task_uri) == 1
    assert store.read_bytes(f"{task_uri}/committed") == b"1"


def test_stale_attempt_cannot_commit(task_uri: str) -> None:
    old = acquire(task_uri, 1, 1, WORK)
    new = acquire(task_uri, 2, 1, WORK)
    with pytest.raises(StaleAttemptError, match="overtaken"):
        commit(old)
    commit(new)
    assert read_committed(task_uri) == 2


def test_late_starter_yields(task_uri: str) -> None:
    new = acquire(task_uri, 2, 1, WORK)
    with pytest.raises(StaleAttemptError, match="newer"):
        acquire(task_uri, 1, 1, WORK)
    commit(new)


def test_one_number_is_given_once(task_uri: str) -> None:
    acquire(task_uri, 1, 1, WORK)
    with pytest.raises(StaleAttemptError, match="taken"):
        acquire(task_uri, 1, 1, WORK)


def test_retry_reuses_the_same_work_only(task_uri: str) -> None:
    commit(acquire(task_uri, 1, 1, WORK))
    assert acquire(task_uri, 2, 1, WORK) == Attempt(task_uri=task_uri, number=1, reused=True)
    changed = acquire(task_uri, 3, 1, WORK.model_copy(update={"code_version": "other"}))
    assert (changed.number, changed.reused) == (3, False)
    assert read_committed(task_uri) is None
    commit(changed)


def test_clear_discards_finished_work(task_uri: str) -> None:
    commit(acquire(task_uri, 1, 1, WORK))
    again = acquire(task_uri, 2, 2, WORK)
    assert (again.number, again.reused) == (2, False)
    commit(again)
    assert read_committed(task_uri) == 2


@pytest.mark.parametrize("round_", range(10))
def test_of_two_attempts_at_once_exactly_one_commits(task_uri: str, round_: int) -> None:
    barrier = threading.Barrier(2)
    committed: list[int] = []

    def work(number: int) -> None:
        barrier.wait()
        try:
            attempt = acquire(task_uri, number, 1, WORK)
            if attempt.reused:
                return
            store.write_bytes(f"{attempt.uri}/result", str(number).encode())
            barrier.wait(timeout=1)
        except StaleAttemptError:
            barrier.abort()
            return
        except threading.BrokenBarrierError:
            pass
        try:
            commit(attempt)
            committed.append(number)
        except StaleAttemptError:
            pass

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = read_committed(task_uri)
    assert winner is not None
    assert committed[-1:] == [winner]
    assert store.read_bytes(f"{attempt_uri(task_uri, winner)}/result") == str(winner).encode()


def test_place_to_write_is_no_part_of_the_work() -> None:
    spec = ImportSpec(output_uri="file:///a", dataset="d", source_uri="file:///s", raw_uri="r")
    other = spec.model_copy(update={"output_uri": "file:///b"})
    assert spec.fingerprint_work() == other.fingerprint_work()
    assert spec.fingerprint_work() != spec.model_copy(update={"dataset": "e"}).fingerprint_work()


CARD = BackboneFile(
    name="b",
    onnx_uri="file:///b",
    sha256="0" * 64,
    licence="l",
    features=4,
    file_bytes=1,
    latency_ms=1.0,
)
GIVEN = InputFeatures(backbone=CARD, preprocessing=Preprocessing(size=16), features_uri="file:///f")
TRAIN = TrainSpec(
    output_uri="file:///o",
    run_id="r",
    dataset="d",
    snapshot_id="s",
    labels_uri="file:///l",
    inputs=(GIVEN,),
    scratch_uri="file:///t",
    classes=("a", "b"),
    code_version="c",
    seed=0,
    max_trials=1,
)
EVALUATE = EvaluateSpec(
    output_uri="file:///o",
    run_id="r",
    dataset="d",
    deployment="d",
    snapshot_id="s",
    labels_uri="file:///l",
    raw_uri="file:///w",
    bundle_uri="file:///b",
    etl_report_uri="file:///e",
    mlflow_run_id="m",
    min_accuracy=0.5,
)


@pytest.mark.parametrize(("spec", "field"), [(TRAIN, "run_address"), (EVALUATE, "report_address")])
def test_the_address_of_a_page_is_no_part_of_the_work(spec: JobSpec, field: str) -> None:
    before = spec.fingerprint()
    for address in ("http://127.0.0.1:8090/r", "http://10.0.0.7:80/r"):
        moved = spec.model_copy(update={field: address})
        assert moved.fingerprint_work() == spec.fingerprint_work()
        assert moved.fingerprint() == before
