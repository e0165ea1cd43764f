"""The training's operator on the first of two machines, its first try and its second.

In a process of its own: Airflow is imported. Argument: a folder with spec.json. After each try a
line of JSON on standard output: the reason for its end, or what the task gave.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from pipelines.artifacts import Artifacts
from pipelines.commands import SparkMaster
from pipelines.context import Installation, RunFiles, make_installation
from pipelines.nodes import watch
from pipelines.settings import read_settings
from pipelines.steps import TRAIN
from pipelines.tasks import training
from pipelines.tasks.base import RETRIES
from serving.job import store
from serving.job.spec import JobSpec, Spec
from training.spec import TrainSpec

# Of a machine that says nothing any more.
LOST_SECONDS = 5.0


class Trainer(training.TrainOperator):
    """Trains what a file says; nothing of other runs is looked for, or left for them."""

    asked: TrainSpec

    def bind(self, context: Any, installation: Installation, output_uri: str) -> JobSpec:  # noqa: ARG002 - as the base has it
        return self.asked.model_copy(update={"output_uri": output_uri})

    def find_finished(self, spec: JobSpec, installation: Installation) -> Spec | None:  # noqa: ARG002 - as the base has it
        return None

    def remember(self, spec: JobSpec, installation: Installation) -> None:
        pass

    def locate(self, outcome: Spec, installation: Installation, run_id: str) -> str:  # noqa: ARG002 - as the base has it
        return ""


def try_once(number: int, folder: Path) -> dict[str, Any]:
    run = SimpleNamespace(dag_id="modelmill_train", run_id="r", run_after=datetime.now(UTC))
    told: dict[str, Any] = {}
    ti = SimpleNamespace(
        try_number=number, max_tries=RETRIES, xcom_push=lambda key, value: told.update({key: value})
    )
    artifacts = Artifacts(hdfs=folder.as_uri(), scratch=(folder / "scratch").as_uri())
    installation = make_installation(read_settings()).model_copy(update={"artifacts": artifacts})
    trainer = Trainer(step=TRAIN)
    trainer.asked = store.read_model((folder / "spec.json").as_uri(), TrainSpec)
    files = RunFiles(artifacts=artifacts, run_id=trainer.asked.run_id)
    with (
        mock.patch("pipelines.tasks.jobs.read_master", return_value=SparkMaster(master="local[*]")),
        mock.patch("pipelines.tasks.jobs.run_files", return_value=files),
        mock.patch.object(watch, "LOST_SECONDS", LOST_SECONDS),
    ):
        try:
            return trainer.work({"ti": ti, "dag_run": run}, installation)  # type: ignore[typeddict-item]
        except SystemExit:
            return told


if __name__ == "__main__":
    for number in (1, 2):
        print(json.dumps(try_once(number, Path(sys.argv[1]))), flush=True)
