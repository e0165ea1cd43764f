"""deploy on real stores: what a retry, a rival and a wrong answer do."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.deploy import deploy
from serving.desired import read_desired
from serving.hosts import Running
from serving.inventory import list_servers
from serving.job import store
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.main import build_image
from serving.processes import ProcessHost
from serving.reconcile import reconcile_all
from serving.smoke import check_answers
from serving.spec import BuildImageSpec, DeploySpec, GateNumbers, ReconcileSpec
from tests.serving.tiny import make_samples, write_bundle

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("stores")]


class Room:
    """One deployment, served by processes, and what is known of it."""

    def __init__(self, folder: Path, deployment: str, database: Any) -> None:
        self.folder, self.deployment, self.made = folder, deployment, 0
        self.database = database

    def register(self, sign: float) -> DeploySpec:
        """Build the next version; its spec, right for the generation that is there now."""
        self.made += 1
        folder = self.folder / str(self.made)
        uri = write_bundle(folder / "bundle", sign=sign).as_uri()
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


@pytest.fixture
def room(
    supervisord: Path, tmp_path: Path, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Room]:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")
    with use_database() as database:
        yield Room(tmp_path, deployment, database)
        ProcessHost().stop(deployment)
        database["deployments"].delete_one({"_id": deployment})
        database["deployment_events"].delete_many({"deployment": deployment})
    call_mlflow("DELETE", "registered-models/delete", name=deployment)


def test_first_and_second_version(room: Room) -> None:
    first = deploy(room.register(sign=1))
    assert (first.version, first.generation, first.replaced_version) == (1, 1, None)
    assert first.served_by == "process"
    check_answers(first.endpoint, make_samples("bright", "dark"))
    second = deploy(room.register(sign=-1))
    assert (second.version, second.generation, second.replaced_version) == (2, 2, 1)
    assert second.endpoint == first.endpoint
    check_answers(second.endpoint, make_samples("dark", "bright"))
    assert room.champion() == "2"
    assert [(e["from_version"], e["to_version"], e["who"]) for e in room.events()] == [
        (None, 1, "test"),
        (1, 2, "test"),
    ]
    assert [r.version for r in room.running()] == [2]


def test_a_retry_finds_its_own_work_done(room: Room) -> None:
    spec = room.register(sign=1)
    assert deploy(spec) == deploy(spec)
    assert len(room.events()) == 1


def test_a_moved_deployment_must_see_the_gate_again(room: Room) -> None:
    slow = room.register(sign=1)
    deploy(room.register(sign=1))
    with pytest.raises(UserError, match=r"serves version 2 \(generation 1, the gate saw 0\)"):
        deploy(slow)
    assert [r.version for r in room.running()] == [2]


def test_wrong_answers_change_nothing(room: Room) -> None:
    deploy(room.register(sign=1))
    bad = room.register(sign=-1)
    store.write_model(bad.smoke_uri, make_samples("bright", "dark"))
    with pytest.raises(UserError, match="failed its smoke test and was removed"):
        deploy(bad)
    assert room.champion() == "1"
    assert [r.version for r in room.running()] == [1]
    state = read_desired(room.database, room.deployment)
    assert state is not None
    assert (state.version, state.generation) == (1, 1)


def test_a_frozen_deployment_stays(room: Room) -> None:
    deploy(room.register(sign=1))
    room.database["deployments"].update_one({"_id": room.deployment}, {"$set": {"frozen": True}})
    with pytest.raises(UserError, match="is frozen at version 1"):
        deploy(room.register(sign=-1))


def test_reconcile_brings_back_what_was_stopped(room: Room) -> None:
    outcome = deploy(room.register(sign=1))
    ProcessHost().stop(room.deployment)
    assert room.running() == []
    spec = ReconcileSpec(output_uri=room.folder.as_uri())
    assert reconcile_all(spec).endpoints[room.deployment] == outcome.endpoint
    check_answers(outcome.endpoint, make_samples("bright", "dark"))


def test_one_lost_bundle_does_not_stop_the_others(room: Room) -> None:
    outcome = deploy(room.register(sign=1))
    ProcessHost().stop(room.deployment)
    lost = f"{room.deployment}-lost"[:40]
    state = room.database["deployments"].find_one({"_id": room.deployment})
    gone = {"_id": lost, "bundle_uri": (room.folder / "gone").as_uri(), "port": 1}
    room.database["deployments"].insert_one({**state, **gone})
    try:
        done = reconcile_all(ReconcileSpec(output_uri=room.folder.as_uri()))
    finally:
        room.database["deployments"].delete_one({"_id": lost})
    assert "is no bundle" in done.failures[lost]
    assert done.endpoints[room.deployment] == outcome.endpoint


def test_unknown_mlflow_run_is_the_users_error(room: Room) -> None:
    spec = BuildImageSpec(
        output_uri=room.folder.as_uri(),
        deployment=room.deployment,
        bundle_uri=room.register(sign=1).bundle_uri,
        mlflow_run_id="0" * 32,
    )
    with pytest.raises(UserError, match="has no run"):
        build_image(spec)
