"""The training's operator, three runs of one form, in a process of its own: Airflow is imported.

Arguments: MLflow's address and a folder. Prints JSON: what each run's task gave, and how often a
job was started.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from pipelines.artifacts import Artifacts
from pipelines.attempts import Work, acquire, commit
from pipelines.commands import Command, SparkMaster
from pipelines.context import Installation, RunFiles
from pipelines.local.layout import read_layout
from pipelines.request import RunRequest
from pipelines.settings import Settings
from pipelines.steps import TRAIN, Surroundings
from pipelines.tasks import training
from pipelines.tasks.base import RETRIES, run_files
from serving.job import store
from serving.job.spec import OUTCOME_FILE, JobSpec
from tests.pipelines import literals
from training.spec import TrainSpec

STARTED = "started"
ADDRESSES: list[str] = []


class Trainer(training.TrainOperator):
    """Starts a program that leaves what a training leaves."""

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        folder = Path(spec.output_uri.removeprefix("file://"))
        outcome = literals.TRAIN.model_copy(update={"bundle_uri": f"{spec.output_uri}/bundle"})
        script = (
            "import pathlib, sys\n"
            "folder = pathlib.Path(sys.argv[1])\n"
            "(folder / 'bundle').mkdir()\n"
            "(folder / 'bundle' / 'manifest.json').write_text('{}')\n"
            "(folder / 'outcome.json').write_text(sys.argv[2])\n"
            "open(sys.argv[3], 'a').write('x')\n"
        )
        counted = str(around.installation.layout.home / STARTED)
        assert isinstance(spec, TrainSpec)
        ADDRESSES.append(spec.run_address)
        argv = (sys.executable, "-c", script, str(folder), outcome.model_dump_json(), counted)
        return Command(argv=(*argv, "--spec", spec.model_dump_json()))


def lay_out(files: RunFiles, labels_uri: str) -> None:
    """The plan, and the etl's outcome."""
    plan = literals.plan_of(RunRequest(dataset="boards"))
    plan = plan.model_copy(update={"run_id": files.run_id, "artifacts": files.artifacts})
    store.write_model(files.artifacts.plan(files.run_id), plan)
    attempt = acquire(files.task_uri("etl"), 1, 1, Work(spec_hash="f", code_version="c"))
    etl = literals.ETL.model_copy(update={"labels_uri": labels_uri})
    store.write_model(store.join(attempt.uri, OUTCOME_FILE), etl)
    commit(attempt)


def work(context: Any, installation: Installation) -> dict[str, Any]:
    """The task, where Airflow's connections are not asked."""
    master = SparkMaster(master="local[*]")
    with mock.patch("pipelines.tasks.jobs.read_master", return_value=master):
        return Trainer(step=TRAIN).work(context, installation)


def main(mlflow_address: str, folder: Path) -> None:
    settings = Settings(home=folder, mlflow_uri=mlflow_address)
    artifacts = Artifacts(hdfs=folder.as_uri(), scratch=(folder / "scratch").as_uri())
    installation = Installation(
        settings=settings, layout=read_layout(settings), artifacts=artifacts
    )
    (folder / "labels").write_bytes(b"labels")
    given = []
    for day, cleared in ((1, False), (2, False), (3, True)):
        run = SimpleNamespace(
            dag_id="modelmill_train",
            run_id=f"run-{day}",
            run_after=datetime(2025, 3, 1, tzinfo=UTC) + timedelta(days=day),
        )
        tries = {"try_number": 1, "max_tries": RETRIES}
        if cleared:
            tries = {"try_number": 2, "max_tries": RETRIES + 1}
        context: Any = {"ti": SimpleNamespace(**tries), "dag_run": run}
        files = run_files(context, installation)
        lay_out(files, (folder / "labels").as_uri())
        given.append({"run": files.run_id, **work(context, installation)})
    told = {"started": len((folder / STARTED).read_text()), "addresses": ADDRESSES}
    print(json.dumps({"given": given, **told}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
