"""A training on the same data with the same settings is found, and only such a one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.artifacts import Artifacts
from pipelines.attempts import Work, acquire, commit, read_committed
from pipelines.context import RunFiles
from pipelines.gate.decision import decide_gate
from pipelines.plan import train_spec
from pipelines.request import RunRequest
from pipelines.unchanged import find_key, find_trained, note_unchanged, remember_trained
from serving.bundle.manifest import SEVERAL
from serving.job import store
from serving.job.spec import OUTCOME_FILE
from spark_jobs.spec import EtlOutcome
from tests.pipelines.literals import ETL, EVALUATE, TRAIN, plan_of
from tests.pipelines.mlflow_server import serve_mlflow
from training.spec import TrainOutcome, TrainSpec

MakeSpec = Callable[..., TrainSpec]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(hdfs=tmp_path.as_uri(), scratch=f"{tmp_path.as_uri()}/scratch")


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    def make(
        form: dict[str, Any], labels: bytes = b"labels", etl: EtlOutcome = ETL, **changes: Any
    ) -> TrainSpec:
        plan = plan_of(RunRequest.model_validate({"dataset": "boards"} | form))
        spec = train_spec(plan, etl, "file:///anywhere")
        uri = tmp_path / f"labels-{labels.decode()}.parquet"
        uri.write_bytes(labels)
        return spec.model_copy(update={"labels_uri": uri.as_uri()} | changes)

    return make


@pytest.fixture
def mlflow() -> Iterator[tuple[str, set[str]]]:
    with serve_mlflow() as served:
        yield served


def finish(artifacts: Artifacts, spec: TrainSpec) -> TrainOutcome:
    """What a training leaves."""
    task = artifacts.task(spec.run_id, "train")
    attempt = acquire(task, 1, 1, Work(spec_hash="f", code_version="c"))
    outcome = TRAIN.model_copy(update={"bundle_uri": f"{attempt.uri}/bundle"})
    store.write_bytes(f"{attempt.uri}/bundle/manifest.json", b"{}")
    store.write_model(f"{attempt.uri}/{OUTCOME_FILE}", outcome)
    commit(attempt)
    remember_trained(artifacts, spec)
    return outcome


def test_another_run_on_the_same_finds_it(
    artifacts: Artifacts, make_spec: MakeSpec, mlflow: tuple[str, set[str]]
) -> None:
    spec = make_spec({})
    assert find_trained(artifacts, spec, mlflow[0]) is None
    outcome = finish(artifacts, spec)
    again = spec.model_copy(
        update={
            "run_id": "20250302T020000-0a1b2c",
            "output_uri": "file:///b",
            "scratch_uri": "c",
            "run_address": "http://127.0.0.1:8080/dags/modelmill_train/runs/later",
        }
    )
    found = find_trained(artifacts, again, mlflow[0])
    assert found == outcome.model_copy(update={"reused_from": spec.run_id})


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"budget_minutes": 6.0},
        {"max_trials": 3},
        {"max_latency_ms": 100.0},
        {"dataset": "herbs"},
    ],
)
def test_another_form_trains(make_spec: MakeSpec, changed: dict[str, Any]) -> None:
    assert find_key(make_spec(changed)) != find_key(make_spec({}))
    assert find_key(make_spec({"min_accuracy": 0.1, "deploy": False})) == find_key(make_spec({}))


def test_what_chooses_thresholds_trains_where_there_are_some(make_spec: MakeSpec) -> None:
    form = {"min_precision": 0.9}
    assert find_key(make_spec(form)) == find_key(make_spec({}))
    several = ETL.model_copy(update={"task": SEVERAL})
    assert find_key(make_spec(form, etl=several)) != find_key(make_spec({}, etl=several))
    assert find_key(make_spec({}, etl=several)) != find_key(make_spec({}))


@pytest.mark.parametrize(
    "changed",
    [{"snapshot_id": "6b"}, {"labels": b"others"}, {"code_version": "2"}, {"classes": ("a", "b")}],
)
def test_other_data_or_code_trains(make_spec: MakeSpec, changed: dict[str, Any]) -> None:
    assert find_key(make_spec({}, **changed)) != find_key(make_spec({}))


@pytest.mark.parametrize("gone", ["run", "bundle", "commit", "mlflow"])
def test_what_was_wiped_is_trained_anew(
    artifacts: Artifacts, make_spec: MakeSpec, mlflow: tuple[str, set[str]], gone: str
) -> None:
    spec = make_spec({})
    outcome = finish(artifacts, spec)
    files = RunFiles(artifacts=artifacts, run_id=spec.run_id)
    assert read_committed(files.task_uri("train")) == 1
    if gone == "mlflow":
        mlflow[1].clear()
    else:
        store.delete(
            {
                "run": artifacts.run(spec.run_id),
                "bundle": outcome.bundle_uri,
                "commit": f"{files.task_uri('train')}/committed",
            }[gone]
        )
    assert find_trained(artifacts, spec, mlflow[0]) is None


@pytest.mark.parametrize("on_unsure", ["promote", "keep", "ask"])
def test_what_serves_is_not_deployed_again(on_unsure: str) -> None:
    form = RunRequest.model_validate(
        {"dataset": "boards", "min_accuracy": 0.5, "on_unsure": on_unsure}
    )
    reused = TRAIN.model_copy(update={"reused_from": "20250228T020000-0a1b2c"})
    serving = EVALUATE.champion.model_copy(update={"bundle_uri": TRAIN.bundle_uri})
    served = EVALUATE.model_copy(update={"champion": serving})
    decision = decide_gate(served, form)
    noted = note_unchanged(decision, served, reused)
    assert (noted.passed, noted.asks, noted.good_enough) == (False, False, True)
    assert noted.reason == (
        "Data and settings are those of run 20250228T020000-0a1b2c: nothing was trained. "
        "Its model, version 2, serves already."
    )
    # Another one serves, or this run has trained it itself.
    decision = decide_gate(EVALUATE, form)
    elsewhere = note_unchanged(decision, EVALUATE, reused)
    assert elsewhere.passed == decision.passed
    assert elsewhere.reason.endswith(f"nothing was trained. {decision.reason}")
    assert note_unchanged(decision, served, TRAIN) == decision
