"""deploy on real stores: what a retry, a rival and a wrong answer do."""

import pytest

from serving.deploy import deploy, refuse_frozen
from serving.desired import read_desired
from serving.job import store
from serving.job.errors import UserError
from serving.main import build_image
from serving.processes import ProcessHost
from serving.reconcile import reconcile_all
from serving.smoke import check_answers
from serving.spec import BuildImageSpec, ReconcileSpec
from tests.serving.rooms import Room
from tests.serving.tiny import make_samples

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("stores")]


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


def test_one_that_is_released_meanwhile_is_refused_in_a_sentence(room: Room) -> None:
    """What was read as frozen is not any more when the reason is looked up."""
    deploy(room.register(sign=1))
    said = str(refuse_frozen(room.database, room.deployment))
    assert said.startswith(f"Deployment '{room.deployment}' was frozen, and somebody has released")


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
