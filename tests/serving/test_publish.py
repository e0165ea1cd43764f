"""What a person decides about a deployment: back, forward, frozen, released."""

from typing import Any

import pytest

from serving.deploy import deploy
from serving.desired import DesiredState, PastVersion, read_desired
from serving.job.errors import UserError
from serving.publish import decide, find_version_before, publish
from serving.smoke import check_answers
from serving.spec import PublishAction, PublishOutcome, PublishSpec
from tests.serving.rooms import Room
from tests.serving.tiny import make_samples


def make_state(version: int, **fields: Any) -> DesiredState:
    return DesiredState(
        deployment="boards",
        version=version,
        image_tag="",
        bundle_uri=f"file:///{version}",
        generation=version,
        port=1,
        **fields,
    )


def past(version: int) -> PastVersion:
    return PastVersion(version=version, image_tag="", bundle_uri=f"file:///{version}")


def test_back_and_forward_is_a_stack() -> None:
    state = make_state(1).serve_next(past(2)).serve_next(past(3))
    assert [one.version for one in state.history] == [1, 2]
    back = state.serve_again(past(2))
    assert (back.version, back.replaced_version, find_version_before(back)) == (2, 3, 1)
    last = back.serve_again(past(1))
    with pytest.raises(UserError, match="none served before it"):
        find_version_before(last)
    newer = back.serve_next(past(4))
    assert (find_version_before(newer), newer.replaced_version) == (2, 2)


def test_history_is_bounded_and_names_no_version_twice() -> None:
    state = make_state(1)
    for version in [*range(2, 40), 38, 39]:
        state = state.serve_next(past(version))
    versions = [one.version for one in state.history]
    assert len(versions) == len(set(versions)) == 10
    assert versions[-1] == 38
    assert state.version not in versions


def test_document_of_before_knows_what_it_replaced() -> None:
    assert find_version_before(make_state(4, replaced_version=2)) == 2
    with pytest.raises(UserError, match="none served before it"):
        find_version_before(make_state(2, replaced_version=4))


def test_settings_do_not_move_the_version() -> None:
    state = make_state(2)
    assert state.has_moved_since(1)
    assert not state.has_moved_since(2)
    moved = state.serve_next(past(3))
    assert moved.has_moved_since(2)
    assert not moved.advance(frozen=True).has_moved_since(moved.generation)


def make_spec(action: PublishAction, **fields: Any) -> PublishSpec:
    return PublishSpec(
        output_uri="file:///x",
        action=action,
        deployment="boards",
        request_id="1",
        actor="test",
        reason="",
        **fields,
    )


def test_replicas_are_set_and_stay_through_versions() -> None:
    state = make_state(2)
    assert state.rollout.replicas == 2
    wanted = decide(state, make_spec("set", replicas=3))
    assert (wanted.rollout.replicas, wanted.version, wanted.generation) == (3, 2, 3)
    assert wanted.serve_next(past(3)).rollout.replicas == 3
    with pytest.raises(UserError, match="Give the number of replicas"):
        decide(state, make_spec("set"))
    with pytest.raises(UserError, match="Give the number of the one to promote"):
        decide(state, make_spec("promote"))


def test_a_pin_moves_the_reference_alone() -> None:
    state = make_state(2).serve_next(past(3))
    assert state.reference is None
    pinned = decide(state, make_spec("pin"))
    assert (pinned.reference, pinned.version) == (state.past, 3)
    assert not pinned.has_moved_since(state.generation)
    # One that is remembered needs no registry.
    older = decide(pinned, make_spec("pin", version=2))
    assert older.reference is not None
    assert older.reference.version == 2
    assert older.serve_next(past(4)).reference == older.reference


def test_document_of_before_gets_two_replicas() -> None:
    before = make_state(1).model_dump(exclude={"rollout", "history"}) | {"replicas": 1}
    assert DesiredState.model_validate(before).rollout.replicas == 2


def say(
    room: Room, action: PublishAction, version: int = 0, request_id: str = "1", **fields: Any
) -> PublishOutcome:
    spec = PublishSpec(
        output_uri=room.folder.as_uri(),
        action=action,
        deployment=room.deployment,
        version=version,
        request_id=request_id,
        actor="test",
        reason="to see",
        **fields,
    )
    return publish(spec)


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_rollback_serves_the_version_before_and_freezes(room: Room) -> None:
    deploy(room.register(sign=1))
    deploy(room.register(sign=-1))
    # As the form does where somebody has ticked what is for promote.
    back = say(room, "rollback", allow_slow=True)
    assert (back.version, back.replaced_version, back.frozen) == (1, 2, True)
    check_answers(back.endpoint, make_samples("bright", "dark"))
    assert room.champion() == "1"
    # A retry of the same request does not go back twice.
    assert say(room, "rollback") == back
    with pytest.raises(UserError, match=r"is frozen at version 1: rollback by .*release"):
        deploy(room.register(sign=-1))
    assert not say(room, "release", request_id="2").frozen
    deploy(room.register(sign=-1))
    events = [(e["action"], e["from_version"], e["to_version"], e["why"]) for e in room.events()]
    assert events == [
        ("deploy", None, 1, "a test"),
        ("deploy", 1, 2, "a test"),
        ("rollback", 2, 1, "to see"),
        ("release", 1, 1, "to see"),
        ("deploy", 1, 4, "a test"),
    ]


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_any_registered_version_can_be_promoted(room: Room) -> None:
    deploy(room.register(sign=1))
    room.register(sign=-1)
    forward = say(room, "promote", 2)
    assert (forward.version, forward.frozen) == (2, False)
    check_answers(forward.endpoint, make_samples("dark", "bright"))
    with pytest.raises(UserError, match="serves version 2 already"):
        say(room, "promote", 2, "2")
    with pytest.raises(UserError, match=r"version was 9, but MLflow at .* knows no such version"):
        say(room, "rollback", 9, "3")
    with pytest.raises(UserError, match="there is no such deployment"):
        publish(
            PublishSpec(
                output_uri=room.folder.as_uri(),
                action="freeze",
                deployment="srv-test-nowhere",
                request_id="4",
                actor="test",
                reason="",
            )
        )


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_document_of_before_can_be_rolled_back(room: Room) -> None:
    deploy(room.register(sign=1))
    deploy(room.register(sign=-1))
    later = {"history": "", "moved_generation": "", "request_id": ""}
    room.database["deployments"].update_one({"_id": room.deployment}, {"$unset": later})
    state = read_desired(room.database, room.deployment)
    assert state is not None
    assert state.history == ()
    assert say(room, "rollback").version == 1


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_where_the_version_cannot_serve_the_other_goes_on(room: Room) -> None:
    first = deploy(room.register(sign=1))
    second = deploy(room.register(sign=-1))
    (room.folder / "1" / "bundle" / "model.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"Version 1 could not be put .*; version 2 goes on"):
        say(room, "rollback")
    check_answers(second.endpoint, make_samples("dark", "bright"))
    state = read_desired(room.database, room.deployment)
    assert state is not None
    assert (state.version, state.frozen, find_version_before(state)) == (2, False, first.version)
    last = room.events()[-1]
    assert (last["action"], last["from_version"], last["to_version"]) == ("put_back", 1, 2)


@pytest.mark.integration
@pytest.mark.usefixtures("stores")
def test_the_first_version_is_the_reference_until_another_is_pinned(room: Room) -> None:
    def read_reference() -> int | None:
        state = read_desired(room.database, room.deployment)
        return state.reference.version if state is not None and state.reference else None

    deploy(room.register(sign=1))
    assert read_reference() == 1
    # Its gate says nothing of having been compared with the first one.
    deploy(room.register(sign=-1))
    assert read_reference() == 1
    pinned = say(room, "pin")
    assert (pinned.version, pinned.frozen) == (2, False)
    assert read_reference() == 2
    assert say(room, "pin", 1, "2").version == 2
    assert read_reference() == 1
    assert [event["action"] for event in room.events()] == ["deploy", "deploy", "pin", "pin"]
