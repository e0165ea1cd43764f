"""What a replay is made of, and what it refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.artifacts import Artifacts
from pipelines.attempts import Work, acquire, commit
from pipelines.code import code_version
from pipelines.command_line.runs import train
from pipelines.context import Installation, RunFiles
from pipelines.local.layout import read_layout
from pipelines.replay import make_replay_spec, replay_run
from pipelines.request import RunRequest
from pipelines.settings import Settings
from serving.bundle.manifest import Preprocessing
from serving.job import store
from serving.job.errors import UserError
from serving.job.search import Recipe
from serving.job.spec import OUTCOME_FILE
from tests.pipelines.literals import ETL, RUN_ID, TRAIN, plan_of
from training.spec import Resolved

RESOLVED = Resolved(
    recipe=Recipe(input="efficientnet-lite0 squash"),
    epochs=12,
    patience=15,
    min_delta=1e-4,
    seed=7,
    ranks=3,
    threads=2,
    device="cpu",
    cpu="Z80",
    python="3.11",
    paddle="3.3.1",
    numpy="2",
    code_version="c",
)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    settings = Settings(home=tmp_path)
    artifacts = Artifacts(hdfs=tmp_path.as_uri(), scratch="file:///scratch")
    return Installation(settings=settings, layout=read_layout(settings), artifacts=artifacts)


@pytest.fixture
def files(installation: Installation) -> RunFiles:
    """A run on two inputs that has trained."""
    files = RunFiles(artifacts=installation.artifacts, run_id=RUN_ID)
    squash = ETL.features[0].model_copy(update={"preprocessing": Preprocessing(resize="squash")})
    etl = ETL.model_copy(update={"features": (*ETL.features, squash)})
    plan = plan_of(RunRequest(dataset="boards"))
    store.write_model(installation.artifacts.plan(RUN_ID), plan)
    for task, outcome in {"etl": etl, "train": TRAIN}.items():
        attempt = acquire(files.task_uri(task), 1, 1, Work(spec_hash="f", code_version="c"))
        store.write_model(store.join(attempt.uri, OUTCOME_FILE), outcome)
        commit(attempt)
    return files


def test_only_the_winners_features_are_needed(files: RunFiles, tmp_path: Path) -> None:
    outcome = TRAIN.model_copy(update={"resolved": RESOLVED})
    spec = make_replay_spec(files, outcome, tmp_path)
    assert [given.name for given in spec.train.inputs] == ["efficientnet-lite0 squash"]
    assert spec.train.labels_uri == ETL.labels_uri
    assert spec.train.scratch_uri.startswith(tmp_path.as_uri())
    assert (spec.resolved, spec.weights_sha256) == (RESOLVED, TRAIN.weights_sha256)
    assert spec.code_version == code_version()


def test_a_run_of_an_earlier_version_gets_a_sentence(
    installation: Installation, files: RunFiles
) -> None:
    with pytest.raises(UserError, match="did not note how"):
        replay_run(installation, files.run_id)
    with pytest.raises(UserError, match="is not known here"):
        replay_run(installation, "20250301T020000-ffffff")


def test_the_form_is_the_runs_own() -> None:
    done = CliRunner().invoke(train, ["--replay", RUN_ID, "--seed", "3", "--wait"])
    assert done.exit_code == 2
    assert "--wait, --seed cannot change that" in done.output
    assert CliRunner().invoke(train, ["--seed", "3"]).exit_code == 2
