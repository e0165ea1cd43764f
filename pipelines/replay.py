"""A run's final training once more, on this machine, without Airflow."""

import shutil
import tempfile
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict

from pipelines.code import code_version
from pipelines.commands import train_command
from pipelines.context import Installation, RunFiles
from pipelines.devices import Devices
from pipelines.plan import train_spec
from pipelines.run_job import run_job_here
from pipelines.steps import TRAIN
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import OUTCOME_FILE
from training.spec import ReplayOutcome, ReplaySpec, TrainOutcome


class ReplayResult(BaseModel):
    """Whether the weights are the same; run_id: the run that trained them.

    differences: what is not as it was, where anything is.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    same: bool
    expected_sha256: str
    weights_sha256: str
    differences: tuple[str, ...]


def replay_run(
    installation: Installation, run_id: str, output: IO[str] | IO[bytes] | None = None
) -> ReplayResult:
    """Train a run's winner again, as it was trained; UserError where that was not noted."""
    files = RunFiles(artifacts=installation.artifacts, run_id=run_id)
    files.plan()
    outcome = files.read(TRAIN.task, TrainOutcome)
    if outcome.reused_from:
        return replay_run(installation, outcome.reused_from, output)
    if outcome.resolved is None:
        raise UserError(
            f"Run {run_id} was trained by a version that did not note how, so it cannot be "
            "replayed. Runs from now on can."
        )
    scratch = installation.layout.scratch / "commands"
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="replay-", dir=scratch))
    try:
        spec = make_replay_spec(files, outcome, folder)
        resolved = spec.resolved
        command = train_command(
            installation.layout,
            spec,
            devices=Devices(kind=resolved.device, ranks=resolved.ranks),
            threads=resolved.threads,
            log_folder=folder / "ranks",
        )
        run_job_here(command, spec, installation.job_environment(), output)
        found = store.read_model(store.join(spec.output_uri, OUTCOME_FILE), ReplayOutcome)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ReplayResult(run_id=run_id, expected_sha256=outcome.weights_sha256, **found.model_dump())


def make_replay_spec(files: RunFiles, outcome: TrainOutcome, folder: Path) -> ReplaySpec:
    """From what the run left; only the features that its winner was trained on are needed."""
    plan = files.plan()
    resolved = outcome.resolved
    if resolved is None:
        raise TypeError("an outcome without resolved cannot be replayed")
    train = train_spec(plan, files.read_etl(plan), "")
    chosen = tuple(given for given in train.inputs if given.name == resolved.recipe.input)
    update = {"inputs": chosen, "scratch_uri": (folder / "scratch").as_uri()}
    return ReplaySpec(
        output_uri=(folder / "out").as_uri(),
        train=train.model_copy(update=update),
        resolved=resolved,
        weights_sha256=outcome.weights_sha256,
        code_version=code_version(),
    )
