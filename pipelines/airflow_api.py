"""Airflow's REST API: what the command line needs of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict

from pipelines.artifacts import make_run_id
from pipelines.settings import Settings
from serving.job.errors import UserError

TIMEOUT_S = 60
# More than Airflow gives at once by default is not asked for.
PAGE = 100
# A task that waits for a person.
AWAITING_INPUT = "awaiting_input"
# The states in which a run, or a task, stays.
ENDED_RUN = frozenset({"success", "failed"})
ENDED_TASK = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# Writes into its task's log what a job prints, and this line before it.
JOB_LOGGER = ".SubprocessHook"
BEFORE_OUTPUT = "Output:"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DagRun(_Answer):
    """One run of one DAG; `conf` is what its form was filled in with."""

    dag_id: str
    dag_run_id: str
    state: str
    run_type: str
    run_after: datetime
    start_date: datetime | None = None
    end_date: datetime | None = None
    conf: dict[str, Any] | None = None

    @property
    def run_id(self) -> str:
        """Our own id of this run."""
        return make_run_id(self.dag_id, self.dag_run_id, self.run_after)

    @property
    def seconds(self) -> float | None:
        """From trigger to end; None before that."""
        return None if self.end_date is None else (self.end_date - self.run_after).total_seconds()


class Dag(_Answer):
    """A DAG that Airflow knows."""

    dag_id: str
    is_paused: bool
    timetable_description: str | None = None


class TaskRun(_Answer):
    """One task of a run, its latest attempt."""

    task_id: str
    state: str | None = None
    try_number: int = 0
    start_date: datetime | None = None
    end_date: datetime | None = None
    duration: float | None = None


class _LogLine(_Answer):
    event: str
    logger: str | None = None


class _Log(_Answer):
    content: list[_LogLine]


class AirflowApi:
    """A signed-in client. Every call raises UserError where Airflow refuses or does not answer."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> DagRun:
        """Start a run with a filled-in form."""
        self.set_paused(dag_id, paused=False)
        body = {"logical_date": None, "conf": dict(conf)}
        return DagRun.model_validate(self._call("POST", f"dags/{dag_id}/dagRuns", json=body))

    def set_paused(self, dag_id: str, *, paused: bool) -> None:
        """A paused DAG starts no run, whoever asks."""
        self._call("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def read_run(self, run: DagRun) -> DagRun:
        """The same run as it is now."""
        return DagRun.model_validate(self._call("GET", self._path(run)))

    def list_tasks(self, run: DagRun) -> list[TaskRun]:
        """Its tasks."""
        answer = self._call("GET", f"{self._path(run)}/taskInstances", params={"limit": 100})
        return [TaskRun.model_validate(row) for row in answer["task_instances"]]

    def read_last_words(self, run: DagRun, task: TaskRun) -> str | None:
        """The last line that the task's job printed in this attempt; None before the first."""
        path = f"{self._path(run)}/taskInstances/{task.task_id}/logs/{task.try_number}"
        accept = {"Accept": "application/json"}
        answer = self._call("GET", path, missing={"content": []}, headers=accept)
        log = _Log.model_validate(answer).content
        lines = [line.event for line in log if (line.logger or "").endswith(JOB_LOGGER)]
        # A job that is tried in another way begins anew.
        before = max(
            (i for i, line in enumerate(lines) if line == BEFORE_OUTPUT), default=len(lines)
        )
        # A line of dashes tells nobody anything.
        told = (line for line in reversed(lines[before + 1 :]) if any(map(str.isalnum, line)))
        return next(told, None)

    def read_xcom(self, run: DagRun, task_id: str, key: str) -> Any:
        """What a task left; None where it left nothing under this key."""
        path = f"{self._path(run)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._call("GET", path, missing={"value": None})["value"]

    def fail_run(self, run: DagRun) -> DagRun:
        """End a run as the button "mark as failed" does: its tasks' processes are ended."""
        return DagRun.model_validate(self._call("PATCH", self._path(run), json={"state": "failed"}))

    def clear_tasks(self, run: DagRun, task_ids: Sequence[str]) -> None:
        """Let these tasks run once more; the run goes on."""
        body = {"dry_run": False, "dag_run_id": run.dag_run_id, "task_ids": list(task_ids)}
        # What failed is not all: tasks that never began were skipped.
        body |= {"only_failed": False, "reset_dag_runs": True}
        self._call("POST", f"dags/{run.dag_id}/clearTaskInstances", json=body)

    def answer(self, run: DagRun, task_id: str, option: str) -> None:
        """Choose one of the options that a waiting task offers."""
        path = f"{self._path(run)}/taskInstances/{task_id}/-1/hitlDetails"
        self._call("PATCH", path, json={"chosen_options": [option], "params_input": {}})

    def list_runs(self, dag_prefix: str, limit: int) -> list[DagRun]:
        """Runs of the DAGs whose ids start so, newest first."""
        query = {"order_by": "-run_after", "limit": limit, "dag_id_prefix_pattern": dag_prefix}
        answer = self._call("GET", "dags/~/dagRuns", params=query)
        runs = [DagRun.model_validate(row) for row in answer["dag_runs"]]
        return [run for run in runs if run.dag_id.startswith(dag_prefix)]

    def list_unended(self, dag_prefix: str) -> list[DagRun]:
        """Every run that goes on or waits; one that was cleared, too, however old it is."""
        query = {"dag_id_prefix_pattern": dag_prefix, "limit": PAGE, "order_by": "run_after"}
        rows: list[Any] = []
        while True:
            page = {**query, "state": ["queued", "running"], "offset": len(rows)}
            found = self._call("GET", "dags/~/dagRuns", params=page)["dag_runs"]
            rows += found
            if len(found) < PAGE:
                return [DagRun.model_validate(row) for row in rows]

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Make a pool unless it is there."""
        if self._call("GET", f"pools/{name}", missing={}):
            return
        pool = {"name": name, "slots": slots, "description": description}
        self._call("POST", "pools", json=pool)

    def find_dag(self, dag_id: str) -> Dag | None:
        """None until Airflow has read the DAG's file."""
        found = self._call("GET", f"dags/{dag_id}", missing={})
        return Dag.model_validate(found) if found else None

    @staticmethod
    def _path(run: DagRun) -> str:
        return f"dags/{run.dag_id}/dagRuns/{quote(run.dag_run_id, safe='')}"

    def _call(
        self, method: str, path: str, *, missing: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        try:
            answer = self._client.request(method, f"/api/v2/{path}", **options)
        except httpx.HTTPError as error:
            raise UserError(f"Airflow does not answer ({type(error).__name__}).") from None
        if answer.status_code == httpx.codes.NOT_FOUND and missing is not None:
            return missing
        if answer.is_error:
            raise UserError(f"Airflow refuses ({answer.status_code}): {_explain(answer)}")
        found: dict[str, Any] = answer.json()
        return found


def _explain(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
    return detail if isinstance(detail, str) else str(detail)[:500]


@contextmanager
def open_airflow(settings: Settings, user: str, password: str) -> Iterator[AirflowApi]:
    """Sign in; raises UserError where nothing answers."""
    # Not through a proxy: Airflow is on this machine.
    with httpx.Client(
        base_url=settings.airflow_address, timeout=TIMEOUT_S, trust_env=False
    ) as client:
        try:
            credentials = {"username": user, "password": password}
            answer = client.post("/auth/token", json=credentials)
        except httpx.HTTPError:
            raise UserError(
                f"Airflow does not answer at {settings.airflow_address}. Start it: ./modelmill up"
            ) from None
        if answer.status_code != httpx.codes.CREATED:
            raise UserError(
                f"Airflow at {settings.airflow_address} refuses user {user!r} "
                f"({answer.status_code}). Is it another installation's? ./modelmill status"
            )
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield AirflowApi(client)
