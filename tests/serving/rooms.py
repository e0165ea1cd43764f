"""One deployment of a test: versions to put in service, and what is known of it."""

import os
from pathlib import Path
from typing import Any

import onnx
import requests

from serving.desired import read_desired
from serving.hosts import Running
from serving.inventory import list_servers
from serving.job import store
from serving.main import build_image
from serving.spec import BuildImageSpec, DeploySpec, GateNumbers
from tests.serving.tiny import make_samples, write_bundle


class Room:
    """One deployment, served by processes, and what is known of it."""

    def __init__(self, folder: Path, deployment: str, database: Any) -> None:
        self.folder, self.deployment, self.made = folder, deployment, 0
        self.database = database

    def register(self, sign: float, network: onnx.ModelProto | None = None) -> DeploySpec:
        """Build the next version; its spec, right for the generation that is there now."""
        self.made += 1
        folder = self.folder / str(self.made)
        uri = write_bundle(folder / "bundle", sign=sign, network=network).as_uri()
        labels = ("bright", "dark") if sign > 0 else ("dark", "bright")
        store.write_model((folder / "smoke.json").as_uri(), make_samples(*labels))
        spec = BuildImageSpec(
            output_uri=folder.as_uri(),
            deployment=self.deployment,
            bundle_uri=uri,
            mlflow_run_id=make_mlflow_run(),
        )
        built = build_image(spec)
        assert build_image(spec).version == built.version == self.made
        state = read_desired(self.database, self.deployment)
        return DeploySpec(
            output_uri=folder.as_uri(),
            deployment=self.deployment,
            dataset="brightness",
            version=built.version,
            image_tag=built.image_tag,
            bundle_uri=uri,
            smoke_uri=(folder / "smoke.json").as_uri(),
            expected_generation=0 if state is None else state.generation,
            gate=GateNumbers(accuracy=0.9, min_accuracy=0.8),
            actor="test",
            reason="a test",
        )

    def events(self) -> list[dict[str, Any]]:
        found = self.database["deployment_events"].find({"deployment": self.deployment})
        return list(found.sort("generation", 1))

    def running(self) -> list[Running]:
        return [r for r in list_servers() if r.deployment == self.deployment]

    def champion(self) -> str:
        answer = call_mlflow("GET", "registered-models/get", name=self.deployment)
        aliases = answer["registered_model"].get("aliases", [])
        return next((a["version"] for a in aliases if a["alias"] == "champion"), "")


def call_mlflow(method: str, path: str, **fields: Any) -> dict[str, Any]:
    address = f"{os.environ['MODELMILL_MLFLOW_URI']}/api/2.0/mlflow/{path}"
    response = requests.request(
        method,
        address,
        params=fields if method == "GET" else None,
        json=None if method == "GET" else fields,
        timeout=30,
    )
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def make_mlflow_run() -> str:
    made = call_mlflow("POST", "runs/create", experiment_id="0", start_time=1)
    return str(made["run"]["info"]["run_id"])
