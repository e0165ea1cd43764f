import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import paddle
import pyarrow.parquet as pq
import pytest

from serving.bundle import codec
from serving.bundle.predictor import Predictor
from serving.job.search import Search
from serving.job.spec import JobError
from tests.training.conftest import CLASSES, REPO, find_rank, make_input, start_ranks
from training.paddle_files import load_network
from training.search.study import find_finished, find_study_file, open_study
from training.spec import ExportBackboneOutcome, TrainOutcome, TrainSpec
from training.tracking import RUN_ID_TAG, SUPERSEDED_TAG

MakeSpec = Callable[..., TrainSpec]
# Of MLflow's own code, which this file calls in process.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
MAIN = REPO / "training" / "main.py"


@pytest.fixture
def job_spec(make_spec: MakeSpec, snapshot: Path, backbone: ExportBackboneOutcome) -> MakeSpec:
    def make(**changes: Any) -> TrainSpec:
        chosen = make_input(snapshot / "features")
        whole = {"inputs": (chosen.model_copy(update={"backbone": backbone.file}),)}
        return make_spec(**(whole | changes))

    return make


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


def output(spec: TrainSpec) -> Path:
    return Path(spec.output_uri.removeprefix("file://"))


def run(spec: TrainSpec, folder: Path, ranks: int = 2, **environment: str) -> tuple[int, str]:
    process = start_ranks(MAIN, spec, ranks, folder, **environment)
    printed, _ = process.communicate(timeout=300)
    return process.returncode, printed


def read_outcome(spec: TrainSpec) -> TrainOutcome:
    return TrainOutcome.model_validate_json((output(spec) / "outcome.json").read_bytes())


def wait_for_trials(scratch: Path, trials: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if find_study_file(scratch).is_file():
            study = open_study(find_study_file(scratch))
            if len(find_finished(study)) >= trials:
                return
        time.sleep(0.05)
    raise AssertionError("no trial was finished")


def test_bundle_is_what_was_trained(job_spec: MakeSpec, tmp_path: Path, tracking: str) -> None:
    page = "http://127.0.0.1:8080/dags/modelmill_train/runs/manual"
    spec = job_spec().model_copy(update={"run_address": page})
    code, printed = run(spec, tmp_path / "work", MODELMILL_MLFLOW_URI=tracking)
    assert code == 0, printed
    outcome = read_outcome(spec)
    assert (outcome.ranks, outcome.folds, outcome.trials) == (2, 5, 4)
    search = Search.model_validate_json((output(spec) / "search.json").read_bytes())
    assert search.chosen.recipe == outcome.recipe
    scored = pq.read_table(outcome.out_of_fold_uri.removeprefix("file://"))
    # Three classes, of 20 train and 8 val samples each.
    assert len(set(scored["sha256"].to_pylist())) == scored.num_rows == 84
    assert "84 samples scored out of fold in " in printed
    assert outcome.ended_because == search.ended_because == "max_trials"
    assert not search.repeats
    assert outcome.cost.cpu_seconds > 0
    assert outcome.cost.gpu_seconds == 0
    assert outcome.agreement <= 1e-4
    assert "Search ended after 4 trials" in printed
    bundle = output(spec) / "bundle"
    assert {str(p.relative_to(bundle)) for p in bundle.rglob("*") if p.is_file()} == {
        "manifest.json",
        "model.onnx",
        "paddle/network.json",
        "paddle/network.pdiparams",
    }
    predictor = Predictor(bundle)
    assert predictor.manifest.classes == CLASSES
    assert predictor.manifest.lineage.weights_licence.startswith("Apache-2.0")
    pixels = np.random.default_rng(7).integers(0, 256, (3, 224, 224, 3), np.uint8)
    scores = predictor.score(list(pixels))
    batch = codec.to_batch(list(pixels), spec.inputs[0].preprocessing)
    with paddle.no_grad():
        stored = load_network(bundle / "paddle")(paddle.to_tensor(batch)).numpy()
    np.testing.assert_allclose(scores, stored, atol=1e-4)
    run_data = mlflow.MlflowClient(tracking).get_run(outcome.mlflow_run_id)
    assert run_data.info.run_name == spec.run_id
    assert run_data.info.status == "FINISHED"
    assert run_data.data.tags["modelmill.snapshot_id"] == "s"
    assert run_data.data.tags["modelmill.airflow_run"] == page
    assert run_data.data.params["ranks"] == "2"
    assert run_data.data.params["input"] == "efficientnet-lite0 crop"
    assert run_data.data.metrics["best_val_accuracy"] == pytest.approx(outcome.val_accuracy)
    history = mlflow.MlflowClient(tracking).get_metric_history(outcome.mlflow_run_id, "val_loss")
    assert [point.step for point in history] == [1, 2, 3, 4]
    children = mlflow.MlflowClient(tracking).search_runs(
        [run_data.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{outcome.mlflow_run_id}'",
    )
    assert len(children) == 4


def test_killed_rank_then_retry_gives_the_same_model(
    job_spec: MakeSpec, tmp_path: Path, tracking: str
) -> None:
    def attempt(name: str, scratch: str) -> TrainSpec:
        return job_spec(
            output_uri=(tmp_path / name).as_uri(),
            scratch_uri=(tmp_path / scratch).as_uri(),
            run_id="20260102t000000-abcdef",
            dataset="kill",
            max_trials=12,
            max_epochs=30,
        )

    whole = attempt("whole", "scratch-whole")
    code, printed = run(whole, tmp_path / "work-1", ranks=1, MODELMILL_MLFLOW_URI=tracking)
    assert code == 0, printed

    killed = attempt("killed", "scratch")
    process = start_ranks(MAIN, killed, 1, tmp_path / "work-2", MODELMILL_MLFLOW_URI=tracking)
    wait_for_trials(tmp_path / "scratch", 3)
    os.kill(find_rank(process.pid, 0), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode not in (0, 64)
    assert not (output(killed) / "outcome.json").exists()
    before = len(find_finished(open_study(find_study_file(tmp_path / "scratch"))))
    assert 3 <= before < 12

    retried = attempt("retried", "scratch")
    code, printed = run(retried, tmp_path / "work-3", ranks=1, MODELMILL_MLFLOW_URI=tracking)
    assert code == 0, printed
    assert f"going on after {before} trials" in printed
    assert read_outcome(retried).recipe == read_outcome(whole).recipe
    assert read_outcome(retried).weights_sha256 == read_outcome(whole).weights_sha256
    assert not list((tmp_path / "scratch").iterdir())
    check_superseded(tracking, read_outcome(retried).mlflow_run_id, retried.run_id)


def check_superseded(uri: str, last: str, run_id: str) -> None:
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("kill")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`{RUN_ID_TAG}` = '{run_id}'")
    assert len(runs) == 3
    states = {r.info.run_id: (r.info.status, SUPERSEDED_TAG in r.data.tags) for r in runs}
    assert states.pop(last) == ("FINISHED", False)
    assert set(states.values()) == {("KILLED", True)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"features_uri": "file:///nowhere"}, "84 of 84 samples have no features"),
        ({"name": "efficientnet-lite9"}, "Did you mean efficientnet-lite2?"),
        ({"sha256": "1" * 64}, "the features were made with 111111111111"),
    ],
)
def test_users_error_is_one_sentence_and_64(
    job_spec: MakeSpec, tmp_path: Path, tracking: str, changes: dict[str, str], sentence: str
) -> None:
    whole = job_spec().inputs[0]
    file = whole.backbone.model_copy(update=changes)
    uri = {name: value for name, value in changes.items() if name == "features_uri"}
    spec = job_spec(inputs=(whole.model_copy(update={"backbone": file} | uri),))
    code, printed = run(spec, tmp_path / "work", MODELMILL_MLFLOW_URI=tracking)
    assert code == 64, printed
    error = JobError.model_validate_json((output(spec) / "error.json").read_bytes())
    assert sentence in error.message
    assert "Traceback" not in printed


def test_missing_mlflow_fails_before_the_training(job_spec: MakeSpec, tmp_path: Path) -> None:
    address = "http://user:secret@127.0.0.1:9"
    code, printed = run(job_spec(), tmp_path / "work", ranks=1, MODELMILL_MLFLOW_URI=address)
    assert code not in (0, 64)
    assert "MLflow does not answer at 127.0.0.1:9" in printed
    assert "secret" not in printed
    assert "trial 1/" not in printed
