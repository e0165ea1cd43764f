"""Airflow's REST API: what an upload needs of it."""

import json
from typing import Any
from urllib.parse import quote

import requests
from pydantic import BaseModel, ConfigDict, ValidationError

from serving import environment
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import OUTCOME_FILE

DAG, TASK = "modelmill_import", "import"
TIMEOUT_S = 30


class Rejection(BaseModel):
    """A file that the import left out."""

    name: str
    reason: str


class Outcome(BaseModel):
    """The part of an import's outcome that the page shows."""

    model_config = ConfigDict(extra="ignore")

    read: int
    added: int
    already_there: int
    conflicts: int
    rejected: tuple[Rejection, ...]


class ImportState(BaseModel):
    """state: Airflow's word for the run. reason: of a failure. outcome: of a success."""

    state: str
    reason: str = ""
    outcome: Outcome | None = None


def _sign_in(session: requests.Session) -> None:
    users = json.loads((environment.home() / "secrets" / "airflow-users.json").read_text())
    user, password = next(iter(users.items()))
    answer = session.post(
        f"{environment.airflow_origin()}/auth/token",
        json={"username": user, "password": password},
        timeout=TIMEOUT_S,
    )
    answer.raise_for_status()
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _explain(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]


def _call(method: str, path: str, content: Any = None, *, missing: Any = None) -> Any:
    try:
        with requests.Session() as session:
            # Not through a proxy: Airflow is on this machine.
            session.trust_env = False
            _sign_in(session)
            answer = session.request(
                method,
                f"{environment.airflow_origin()}/api/v2/dags/{DAG}{path}",
                json=content,
                timeout=TIMEOUT_S,
            )
            if answer.status_code == requests.codes.not_found and missing is not None:
                return missing
            if not answer.ok:
                raise UserError(f"Airflow refuses ({answer.status_code}): {_explain(answer)}")
            return answer.json()
    except (requests.RequestException, OSError, ValueError) as error:
        raise UserError(
            f"Airflow does not take this ({type(error).__name__}): see ./modelmill status."
        ) from error


def start_import(dataset: str, source: str) -> str:
    """Start the DAG; its run's id. Raises UserError."""
    _call("PATCH", "", {"is_paused": False})
    form = {"dataset": dataset, "source": source}
    answer = _call("POST", "/dagRuns", {"logical_date": None, "conf": form})
    return str(answer["dag_run_id"])


def read_import(run: str) -> ImportState:
    """How far it is. Raises UserError."""
    path = f"/dagRuns/{quote(run, safe='')}"
    state = str(_call("GET", path)["state"])
    left = f"{path}/taskInstances/{TASK}/xcomEntries"
    if state == "failed":
        reason = _call("GET", f"{left}/reason", missing={"value": None})["value"]
        return ImportState(
            state=state, reason=str(reason or "The import failed: its log in Airflow says why.")
        )
    if state != "success":
        return ImportState(state=state)
    value = _call("GET", f"{left}/return_value", missing={"value": None})["value"]
    try:
        uri = store.join(value["uri"], OUTCOME_FILE)
        return ImportState(state=state, outcome=store.read_model(uri, Outcome))
    except (TypeError, KeyError, FileNotFoundError, ValidationError):
        return ImportState(state=state)
