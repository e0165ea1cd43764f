"""Reports and numbers into an MLflow run, through its REST API: importing mlflow takes seconds."""

import os
import time
from collections.abc import Mapping
from urllib.parse import quote

import requests

from serving.job.errors import UserError

# What MLflow shows as a run's description, in Markdown.
NOTE_TAG = "mlflow.note.content"
MLFLOW_VARIABLE = "MODELMILL_MLFLOW_URI"
TIMEOUT_S = 60


class MlflowRun:
    """One run that exists already."""

    def __init__(self, run_id: str) -> None:
        address = os.environ.get(MLFLOW_VARIABLE, "").rstrip("/")
        if not address:
            raise UserError(f"Set {MLFLOW_VARIABLE} to http://HOST:PORT.")
        self._api = f"{address}/api/2.0"
        self._run_id = run_id
        self._session = requests.Session()
        answer = self._session.get(
            f"{self._api}/mlflow/runs/get", params={"run_id": run_id}, timeout=TIMEOUT_S
        )
        self._check(answer, "runs/get")
        run = answer.json()["run"]
        self._artifacts = self._artifact_path(run["info"]["artifact_uri"])
        self._tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}

    @staticmethod
    def _check(answer: requests.Response, what: str) -> None:
        if not answer.ok:
            raise RuntimeError(f"MLflow answered {answer.status_code} to {what}: {answer.text}")

    @staticmethod
    def _artifact_path(uri: str) -> str:
        """Path below the server's artifact proxy: mlflow-artifacts:/<exp>/<run>/artifacts."""
        scheme, _, path = uri.partition(":")
        if scheme != "mlflow-artifacts":
            raise RuntimeError(
                f"MLflow keeps this run's artifacts at {uri}: start its server with "
                "--serve-artifacts, so that artifacts go through it."
            )
        # Either mlflow-artifacts:/path or mlflow-artifacts://host/path.
        return path[2:].partition("/")[2] if path.startswith("//") else path.lstrip("/")

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log numbers in one call. Keys hold no class names: their alphabet is limited."""
        now = int(time.time() * 1000)
        rows = [
            {"key": key, "value": value, "timestamp": now, "step": 0}
            for key, value in metrics.items()
        ]
        answer = self._session.post(
            f"{self._api}/mlflow/runs/log-batch",
            json={"run_id": self._run_id, "metrics": rows},
            timeout=TIMEOUT_S,
        )
        self._check(answer, "runs/log-batch")

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set them in one call; the same key again replaces its value."""
        rows = [{"key": key, "value": value} for key, value in tags.items()]
        answer = self._session.post(
            f"{self._api}/mlflow/runs/log-batch",
            json={"run_id": self._run_id, "tags": rows},
            timeout=TIMEOUT_S,
        )
        self._check(answer, "runs/log-batch")

    def describe(self, text: str) -> None:
        """Give the run a description, in Markdown; one that it has, a person may have written."""
        if not self._tags.get(NOTE_TAG, "").strip():
            self.set_tags({NOTE_TAG: text})

    def log_artifact(self, path: str, content: bytes, content_type: str) -> None:
        """Put one file among the run's artifacts; the same path again replaces it."""
        answer = self._session.put(
            f"{self._api}/mlflow-artifacts/artifacts/{quote(self._artifacts)}/{quote(path)}",
            data=content,
            headers={"Content-Type": content_type},
            timeout=TIMEOUT_S,
        )
        self._check(answer, path)
