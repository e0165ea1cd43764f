"""What becomes of a canary in the desired state: by compare-and-set, and with an event."""

from datetime import UTC, datetime
from typing import Any

from serving.desired import (
    Canary,
    DesiredState,
    compare_and_set,
    read_desired,
    record_event,
)
from serving.hosts import Trial
from serving.spec import GateNumbers


def describe_trial(canary: Canary) -> Trial:
    """The canary as a host sees it."""
    return Trial(
        version=canary.version,
        image_tag=canary.image_tag,
        bundle_uri=canary.bundle_uri,
        percent=canary.percent,
    )


def find_canary(state: DesiredState | None, request_id: str) -> Canary | None:
    """A request's own canary, if it is under way."""
    canary = None if state is None else state.canary
    return canary if canary is not None and canary.request_id == request_id else None


def begin_event(
    database: Any, state: DesiredState, *, who: str, why: str, gate: GateNumbers | None = None
) -> None:
    """Append the audit entry of a canary's beginning, once; later calls for it do nothing."""
    if state.canary is None or state.canary.taking:
        return
    record_event(
        database,
        state,
        action="canary",
        who=who,
        why=why,
        from_version=state.version,
        to_version=state.canary.version,
        gate=gate,
    )


def return_to_champion(database: Any, state: DesiredState, why: str) -> DesiredState:
    """The state without its canary; the newest one, where somebody else was first.

    Raises KeyError where the deployment is gone.
    """
    canary = state.canary
    while canary is not None:
        sentence = (
            f"Version {canary.version} was sent away after it had {canary.percent} % of the "
            f"requests, and version {state.version} serves all of them: {why}."
        )
        wanted = state.drop_canary(sentence)
        if compare_and_set(database, wanted, state.generation):
            record_event(
                database,
                wanted,
                action="canary_return",
                who="modelmill",
                why=sentence,
                from_version=canary.version,
            )
            return wanted
        # Others may have changed a setting; only this very canary is to go.
        state = _read(database, state.deployment)
        canary = find_canary(state, canary.request_id)
    return state


def start_window(database: Any, state: DesiredState, request_id: str) -> DesiredState:
    """Note that the canary takes requests from now on, once; the newest state."""
    while (canary := find_canary(state, request_id)) is not None and not canary.taking:
        taking = canary.model_copy(update={"taking": True, "since": datetime.now(UTC)})
        wanted = state.advance(canary=taking)
        if compare_and_set(database, wanted, state.generation):
            return wanted
        state = _read(database, state.deployment)
    return state


def promote_canary(database: Any, state: DesiredState, request_id: str) -> DesiredState:
    """Let the canary take the champion's place; the newest state."""
    while (canary := find_canary(state, request_id)) is not None:
        # A retry of the request that began it must see that this is done.
        wanted = state.let_in(canary, request_id=request_id)
        if compare_and_set(database, wanted, state.generation):
            return wanted
        state = _read(database, state.deployment)
    return state


def _read(database: Any, deployment: str) -> DesiredState:
    state = read_desired(database, deployment)
    if state is None:
        raise KeyError(deployment)
    return state
