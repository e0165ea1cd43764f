"""A whole training on several labels a sample; all tests share it, and its replay."""

from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import paddle
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from serving.bundle import codec
from serving.bundle.labels import choose_labels
from serving.bundle.manifest import SEVERAL
from serving.bundle.predictor import Predictor
from tests.training.conftest import CLASSES, REPO, start_ranks
from tests.training.fitting import ALONE, fit_deep_too, material_of
from training.fit import Fit
from training.head_weights import hash_weights, read_start
from training.loop import train_head
from training.paddle_files import load_network
from training.search.search import find_earlier
from training.spec import (
    ExportBackboneOutcome,
    ReplayOutcome,
    ReplaySpec,
    TrainOutcome,
    TrainSpec,
    WarmStart,
)
from training.tasks.protocol import load_task
from training.winner import find_start, find_winner, select_rows

# Of MLflow's own code, which this file calls in process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]
MAIN = REPO / "training" / "main.py"


class Job(NamedTuple):
    """A finished one. tracking: where MLflow keeps its run."""

    spec: TrainSpec
    outcome: TrainOutcome
    folder: Path
    tracking: str


def start(spec: TrainSpec | ReplaySpec, folder: Path, **environment: str) -> str:
    """Two ranks; what they leave as their outcome."""
    process = start_ranks(MAIN, spec, 2, folder, **environment)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return (Path(spec.output_uri.removeprefix("file://")) / "outcome.json").read_text()


@pytest.fixture(scope="module")
def job(
    tmp_path_factory: pytest.TempPathFactory,
    backbone: ExportBackboneOutcome,
    several_labels: dict[str, Any],
) -> Job:
    folder = tmp_path_factory.mktemp("multilabel")
    given = several_labels["inputs"][0].model_copy(update={"backbone": backbone.file})
    spec = TrainSpec(
        task="multilabel",
        output_uri=(folder / "output").as_uri(),
        run_id="20260101t000000-abcdef",
        dataset="desks",
        snapshot_id="s",
        labels_uri=several_labels["labels_uri"],
        scratch_uri=(folder / "scratch").as_uri(),
        classes=CLASSES,
        inputs=(given,),
        code_version="test",
        seed=3,
        max_trials=4,
        max_epochs=12,
        min_precision=0.7,
    )
    tracking = f"sqlite:///{folder / 'mlflow.db'}"
    left = start(spec, folder / "work", MODELMILL_MLFLOW_URI=tracking)
    return Job(spec, TrainOutcome.model_validate_json(left), folder, tracking)


def find_bundle(job: Job) -> Path:
    return Path(job.outcome.bundle_uri.removeprefix("file://"))


def test_the_bundle_says_what_each_score_means(job: Job) -> None:
    predictor = Predictor(find_bundle(job))
    manifest = predictor.manifest
    assert (manifest.task, manifest.classes) == (SEVERAL, CLASSES)
    assert len(manifest.thresholds) == len(CLASSES)
    assert len(set(manifest.thresholds)) > 1
    assert job.outcome.out_of_fold_uri
    assert job.outcome.agreement <= 1e-4
    pixels = list(np.random.default_rng(7).integers(0, 256, (3, 224, 224, 3), np.uint8))
    scores = predictor.score(pixels)
    assert scores.shape == (3, len(CLASSES))
    assert ((scores > 0) & (scores < 1)).all()
    assert np.abs(scores.sum(axis=1) - 1).max() > 0.01
    batch = codec.to_batch(pixels, job.spec.inputs[0].preprocessing)
    with paddle.no_grad():
        stored = load_network(find_bundle(job) / "paddle")(paddle.to_tensor(batch)).numpy()
    np.testing.assert_allclose(scores, stored, atol=1e-4)
    for row in scores:
        reached = {CLASSES[i] for i in range(3) if row[i] >= np.float32(manifest.thresholds[i])}
        assert set(choose_labels(row, manifest)) == reached


def test_mlflow_has_what_it_was_asked_for(job: Job) -> None:
    data = mlflow.MlflowClient(job.tracking).get_run(job.outcome.mlflow_run_id).data
    assert (data.params["task"], data.params["min_precision"]) == ("multilabel", "0.7")
    assert data.metrics["best_val_accuracy"] == pytest.approx(job.outcome.val_accuracy)


def test_it_learns(job: Job) -> None:
    # To say how common each class is of every sample.
    rates = np.array([2, 4, 2]) / 6
    assert job.outcome.val_loss < -(rates * np.log(rates) + (1 - rates) * np.log(1 - rates)).sum()
    scored = pq.read_table(job.outcome.out_of_fold_uri.removeprefix("file://"))
    samples = material_of(job.spec).samples
    places = [samples.sha256.index(one) for one in scored["sha256"].to_pylist()]
    scores = np.array(scored["scores"].to_pylist())
    assert roc_auc_score(samples.targets[places], scores) > 0.75


def test_the_same_weights_bit_for_bit(job: Job) -> None:
    assert job.outcome.resolved
    spec = ReplaySpec(
        output_uri=(job.folder / "replay").as_uri(),
        train=job.spec.model_copy(update={"scratch_uri": (job.folder / "again").as_uri()}),
        resolved=job.outcome.resolved,
        weights_sha256=job.outcome.weights_sha256,
        code_version="test",
    )
    again = ReplayOutcome.model_validate_json(start(spec, job.folder / "work-again"))
    assert again.same
    assert again.differences == ()


def warm_of(job: Job, **changes: Any) -> WarmStart:
    fields: dict[str, Any] = {
        "task": "multilabel",
        "run_id": job.spec.run_id,
        "head_uri": job.outcome.head_uri,
        "recipe": job.outcome.recipe,
        "classes": CLASSES,
        "backbone_sha256": job.spec.inputs[0].backbone.sha256,
        "joined": True,
    }
    return WarmStart.model_validate(fields | changes)


def test_one_rank_is_as_two(job: Job, tmp_path: Path) -> None:
    resolved = job.outcome.resolved
    assert resolved
    settings = resolved.model_dump(include={"seed", "epochs", "patience", "min_delta", "horizon"})
    fit = Fit(recipe=resolved.recipe, classes=CLASSES, **settings)
    rows = select_rows(material_of(job.spec), fit.recipe)
    trained = train_head(fit, ALONE, rows, load_task("multilabel")[1], tmp_path.as_uri())
    together = read_start(warm_of(job)).weights
    for name, value in trained.head.state_dict().items():
        np.testing.assert_allclose(value.numpy(), together[name], atol=1e-4, err_msg=name)


def test_it_is_gone_on_from_by_its_own_task_only(job: Job, tmp_path: Path) -> None:
    material = material_of(job.spec)
    other = warm_of(job, task="classification")
    spec = job.spec.model_copy(update={"scratch_uri": tmp_path.as_uri(), "warm_from": other})
    assert find_earlier(spec) is find_start(spec, material, job.outcome.recipe) is None
    spec = spec.model_copy(update={"warm_from": warm_of(job), "max_trials": 2})
    winner = find_winner(spec, ALONE, material, load_task("multilabel")[1])
    assert winner.found.search.trials[0].recipe == job.outcome.recipe
    assert winner.resolved.start == spec.warm_from
    # Half the epochs, from where the head was.
    losses = [epoch.train_loss for epoch in winner.trained.progress.epochs]
    assert losses[0] < 3 * np.log(2) / 2


def test_last_blocks_learn_from_several_labels(job: Job, tmp_path: Path) -> None:
    changes = {"scratch_uri": tmp_path.as_uri(), "deepest": "last_blocks"}
    spec = job.spec.model_copy(update=changes)
    recipe = job.outcome.recipe
    rows = select_rows(material_of(spec), recipe)
    fit = Fit(recipe, 3, 4, 4, 1e-4, CLASSES)
    head = train_head(fit, ALONE, rows, load_task("multilabel")[1], spec.scratch_uri)
    deep = fit_deep_too(spec, ALONE, head, 3)
    losses = [epoch.train_loss for epoch in deep.progress.epochs]
    assert losses[-1] < losses[0]
    assert hash_weights(deep.head) != hash_weights(head.head)
