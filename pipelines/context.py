"""What a task or a command works with: settings, layout, locations, and a run's files."""

import json
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from pipelines.artifacts import RUN_ID, Artifacts
from pipelines.attempts import attempt_uri, read_committed
from pipelines.local.environment import SUPERVISOR_VARIABLE, bypass_proxy, child_environment
from pipelines.local.layout import Layout, read_layout
from pipelines.old_plans import read_etl_outcome, read_plan
from pipelines.plan import RunPlan
from pipelines.settings import Settings, read_settings
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import OUTCOME_FILE, Spec
from spark_jobs.spec import EtlOutcome

OutcomeT = TypeVar("OutcomeT", bound=Spec)


class Installation(BaseModel):
    """One installation, as its settings describe it."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    layout: Layout
    artifacts: Artifacts

    def job_environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment of a job; the engine that the scheduler found is passed on."""
        environment = child_environment(self.settings)
        for name in ("MODELMILL_DOCKER_HOST", SUPERVISOR_VARIABLE):
            if os.environ.get(name):
                environment[name] = os.environ[name]
        return {**environment, **(extra or {})}


def read_installation(environment: Mapping[str, str] | None = None) -> Installation:
    """The installation that the MODELMILL_* variables describe."""
    return make_installation(read_settings(environment))


def make_installation(settings: Settings) -> Installation:
    """Where these settings keep everything."""
    layout = read_layout(settings)
    artifacts = Artifacts(hdfs=settings.hdfs_address, scratch=layout.scratch.as_uri())
    return Installation(settings=settings, layout=layout, artifacts=artifacts)


def publish_addresses(installation: Installation) -> None:
    """Set what serving.job reads from the environment, for calls from this process."""
    os.environ[store.WEBHDFS_VARIABLE] = installation.settings.webhdfs_address
    os.environ["MODELMILL_MONGO_URI"] = installation.settings.mongo_address
    os.environ.setdefault("HADOOP_USER_NAME", "modelmill")
    os.environ.update(bypass_proxy(os.environ))


class RunFiles(BaseModel):
    """A run's folder: its plan, and the outcomes of its committed attempts."""

    model_config = ConfigDict(frozen=True)

    artifacts: Artifacts
    run_id: str

    def plan(self) -> RunPlan:
        """The plan; UserError where the run has none."""
        unknown = f"Run {self.run_id!r} is not known here. ./modelmill runs lists those that are."
        if not RUN_ID.fullmatch(self.run_id):
            raise UserError(unknown)
        try:
            return read_plan(self.artifacts.plan(self.run_id))
        except FileNotFoundError:
            raise UserError(unknown) from None

    def task_uri(self, task: str) -> str:
        """Folder of a task."""
        return self.artifacts.task(self.run_id, task)

    def find(self, task: str, model: type[OutcomeT]) -> OutcomeT | None:
        """Outcome of a task's committed attempt; None where there is none."""
        uri = self._find_outcome(task)
        return None if uri is None else store.read_model(uri, model)

    def _find_outcome(self, task: str) -> str | None:
        number = read_committed(self.task_uri(task))
        if number is None:
            return None
        return store.join(attempt_uri(self.task_uri(task), number), OUTCOME_FILE)

    def find_etl(self, plan: RunPlan) -> EtlOutcome | None:
        """The etl's outcome, also that of an earlier version; None where there is none."""
        uri = self._find_outcome("etl")
        return None if uri is None else read_etl_outcome(uri, plan)

    def read_etl(self, plan: RunPlan) -> EtlOutcome:
        """The same; UserError where the etl has not been finished."""
        return self._demand("etl", self.find_etl(plan))

    def read(self, task: str, model: type[OutcomeT]) -> OutcomeT:
        """The same; UserError where the task has not been finished."""
        return self._demand(task, self.find(task, model))

    def _demand(self, task: str, outcome: OutcomeT | None) -> OutcomeT:
        if outcome is None:
            raise UserError(
                f"Task {task} of run {self.run_id} has no finished work: clear it first."
            )
        return outcome


def headline(outcome: Spec) -> dict[str, Any]:
    """The outcome's plain numbers and texts: what Airflow shows; the rest stays in HDFS."""
    values: dict[str, Any] = json.loads(outcome.model_dump_json())
    return {k: v for k, v in values.items() if isinstance(v, str | int | float | bool)}
