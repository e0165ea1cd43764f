"""Model versions and aliases in MLflow, through its REST API."""

from typing import Any

import requests

from serving.environment import read_variable
from serving.job.errors import UserError

CHAMPION = "champion"
# Where training logs the bundle among the run's artifacts.
BUNDLE_ARTIFACT = "bundle"
TIMEOUT_SECONDS = 60


class Registry:
    """MLflow's model registry; a registered model is named after its deployment."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address or read_variable("MODELMILL_MLFLOW_URI", "http://HOST:PORT")

    def _call(
        self, method: str, path: str, *, allow: frozenset[str] = frozenset(), **fields: Any
    ) -> dict[str, Any]:
        """One call; {} where MLflow answers with an error code that is allowed."""
        response = requests.request(
            method,
            f"{self._address.rstrip('/')}/api/2.0/mlflow/{path}",
            params=fields if method == "GET" else None,
            json=None if method == "GET" else fields,
            timeout=TIMEOUT_SECONDS,
        )
        if response.ok:
            answer: dict[str, Any] = response.json()
            return answer
        code = ""
        if response.headers.get("content-type", "").startswith("application/json"):
            code = str(response.json().get("error_code", ""))
        if code in allow:
            return {}
        raise RuntimeError(f"MLflow answered {response.status_code} to {path}: {response.text}")

    def register(self, deployment: str, mlflow_run_id: str, tags: dict[str, str]) -> int:
        """Version that a run's model has under a deployment's name; made where it has none.

        Raises UserError where MLflow does not know the run.
        """
        run = self._call(
            "GET",
            "runs/get",
            allow=frozenset({"RESOURCE_DOES_NOT_EXIST"}),
            run_id=mlflow_run_id,
        )
        if not run:
            raise UserError(f"MLflow at {self._address} has no run {mlflow_run_id!r}.")
        self._call(
            "POST",
            "registered-models/create",
            allow=frozenset({"RESOURCE_ALREADY_EXISTS"}),
            name=deployment,
        )
        known = self._call(
            "GET",
            "model-versions/search",
            filter=f"name='{deployment}' and run_id='{mlflow_run_id}'",
        )
        versions = [int(entry["version"]) for entry in known.get("model_versions", [])]
        if versions:
            return min(versions)
        made = self._call(
            "POST",
            "model-versions/create",
            name=deployment,
            source=f"{run['run']['info']['artifact_uri']}/{BUNDLE_ARTIFACT}",
            run_id=mlflow_run_id,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
        return int(made["model_version"]["version"])

    def find_bundle(self, deployment: str, version: int) -> str:
        """URI of the bundle that a version was registered with; raises UserError."""
        found = self._call(
            "GET",
            "model-versions/get",
            allow=frozenset({"RESOURCE_DOES_NOT_EXIST"}),
            name=deployment,
            version=str(version),
        )
        tags = {tag["key"]: tag["value"] for tag in found.get("model_version", {}).get("tags", [])}
        if "bundle" not in tags:
            raise UserError(
                f"version was {version}, but MLflow at {self._address} knows no such version of "
                f"{deployment!r}. ./modelmill deployments {deployment} shows those that served."
            )
        return str(tags["bundle"])

    def set_champion(self, deployment: str, version: int) -> None:
        """Point the alias at a version; nothing happens where it points there already."""
        self._call(
            "POST",
            "registered-models/alias",
            name=deployment,
            alias=CHAMPION,
            version=str(version),
        )
