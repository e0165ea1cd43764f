"""What a person decides about a deployment: promote, roll back, freeze, release, set."""

from datetime import UTC, datetime
from typing import Any

from serving import environment
from serving.canary import drive_canary
from serving.canary_state import begin_event, find_canary
from serving.candidate import check_candidate
from serving.desired import (
    DesiredState,
    PastVersion,
    compare_and_set,
    list_names,
    read_desired,
    record_event,
)
from serving.hosts import Served, address_of
from serving.image import name_image
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.reconcile import reconcile
from serving.registry import Registry
from serving.smoke import ServeError, check_sense, make_pictures
from serving.spec import PublishOutcome, PublishSpec, Rollout

# Actions that put another version in service.
MOVES = ("promote", "rollback")


def _read_state(database: Any, deployment: str) -> DesiredState:
    state = read_desired(database, deployment)
    if state is None:
        names = ", ".join(list_names(database)) or "none"
        raise UserError(
            f"deployment was {deployment!r}, but there is no such deployment; there are: {names}."
        )
    return state


def _find_version(state: DesiredState, version: int) -> PastVersion:
    """A version by what the deployment remembers, else by the registry; raises UserError."""
    known = (state.past, *state.history, *([state.reference] if state.reference else []))
    remembered = next((one for one in known if one.version == version), None)
    if remembered is not None:
        return remembered
    return PastVersion(
        version=version,
        # As what serves now: an image where there is one, else a local process.
        image_tag=name_image(state.deployment, version) if state.image_tag else "",
        bundle_uri=Registry().find_bundle(state.deployment, version),
    )


def find_version_before(state: DesiredState) -> int:
    """The version that a rollback goes back to; raises UserError where there is none."""
    if state.history:
        return state.history[-1].version
    # A document of before histories were kept; what it replaced may also be a newer version.
    if state.replaced_version is not None and state.replaced_version < state.version:
        return state.replaced_version
    raise UserError(
        f"Deployment {state.deployment!r} serves version {state.version}, and none served before "
        "it. Name a version to go to."
    )


def decide(state: DesiredState, spec: PublishSpec) -> DesiredState:
    """The next desired state; raises UserError where the action cannot be taken."""
    common: dict[str, Any] = {"request_id": spec.request_id}
    if spec.action == "freeze":
        return state.drop_canary(_explain_drop(state, spec), frozen=True, **common)
    if spec.action == "release":
        return state.advance(frozen=False, **common)
    if spec.action == "set":
        return state.advance(rollout=_set_rollout(state.rollout, spec), **common)
    if spec.action == "pin":
        pinned = _find_version(state, spec.version) if spec.version else state.past
        return state.advance(reference=pinned, **common)
    if spec.action == "promote" and not spec.version:
        raise UserError("Which version? Give the number of the one to promote.")
    return _move(state, spec)


def _move(state: DesiredState, spec: PublishSpec) -> DesiredState:
    common: dict[str, Any] = {"request_id": spec.request_id}
    drops = spec.action == "rollback" and state.canary is not None
    if drops and spec.version in (0, state.version):
        return state.drop_canary(_explain_drop(state, spec), frozen=True, **common)
    version = spec.version or find_version_before(state)
    if version == state.version:
        raise UserError(f"Deployment {spec.deployment!r} serves version {version} already.")
    canary = state.canary
    if canary is not None and canary.version == version and spec.action == "promote":
        return state.let_in(canary, **common)
    target = _find_version(state, version)
    if canary is not None:
        state = state.drop_canary(_explain_drop(state, spec))
    if spec.action == "promote":
        if state.wants_canary(target):
            now = datetime.now(UTC)
            return state.begin_canary(target, since=now, request_id=spec.request_id)
        return state.serve_next(target, **common)
    # Otherwise the next night would undo it.
    return state.serve_again(target, frozen=True, **common)


def _set_rollout(rollout: Rollout, spec: PublishSpec) -> Rollout:
    changes: dict[str, int | float] = {}
    if spec.replicas:
        changes["replicas"] = spec.replicas
    if spec.canary_percent >= 0:
        changes["canary_percent"] = spec.canary_percent
    if spec.canary_minutes:
        changes["canary_minutes"] = spec.canary_minutes
    if not changes:
        raise UserError(
            "What is to be set? Give the number of replicas, canary_percent or canary_minutes."
        )
    return rollout.model_copy(update=changes)


def _explain_drop(state: DesiredState, spec: PublishSpec) -> str:
    """For the job that drives the canary."""
    if state.canary is None:
        return ""
    reason = f" ({spec.reason})" if spec.reason else ""
    return (
        f"Version {state.canary.version} was on trial with {state.canary.percent} % of the "
        f"requests until {spec.actor} ended that: {spec.action}{reason}."
    )


def _check_promoted(state: DesiredState, wanted: DesiredState, *, allow_slow: bool) -> str:
    """The smoke test of what is to get requests; one on trial already has shown what it does.

    In which way it is slow, where that is allowed.
    """
    target = wanted.past if wanted.canary is None else wanted.canary.past
    if state.canary is not None and state.canary.past == target:
        return ""
    served = Served(deployment=state.deployment, **target.model_dump())
    pictures = [content for _, content in make_pictures()]
    return check_candidate(served, check_sense, pictures, state, allow_slow=allow_slow)


def _explain(spec: PublishSpec, slow: str) -> str:
    """Why, for the history, which also shows that the limit of slowness was lifted."""
    # The form sends allow_slow with any action.
    if spec.action != "promote" or not spec.allow_slow:
        return spec.reason
    told = f"The limit of slowness was lifted{f': {slow}' if slow else '.'}"
    return f"{spec.reason} {told}".strip()


def _put_back(database: Any, wanted: DesiredState, before: DesiredState, why: str) -> None:
    """What served goes on, and the desired state says so; nothing where it has moved on since."""
    moved = wanted.generation + 1
    fields = {"generation": moved, "moved_generation": moved, "canary": None}
    state = before.model_copy(update=fields)
    if compare_and_set(database, state, wanted.generation):
        record_event(
            database,
            state,
            action="put_back",
            who="modelmill",
            why=why,
            from_version=wanted.version,
        )


def publish(spec: PublishSpec) -> PublishOutcome:
    """Change the desired state, once a request, and make it true.

    Raises UserError; where the version cannot serve, the one before goes on, as it was.
    """
    with use_database() as database:
        before = state = _read_state(database, spec.deployment)
        own = find_canary(state, spec.request_id)
        if own is None and state.request_id != spec.request_id:
            if state.dropped is not None and state.dropped.request_id == spec.request_id:
                raise UserError(state.dropped.why)
            wanted = decide(state, spec)
            if spec.action == "promote":
                slow = _check_promoted(state, wanted, allow_slow=spec.allow_slow)
                wanted = wanted.model_copy(update={"slowness": slow})
            if not compare_and_set(database, wanted, state.generation):
                raise UserError(
                    f"Deployment {spec.deployment!r} was changed by somebody else just now: look "
                    f"at it (./modelmill deployments {spec.deployment}), and say again."
                )
            state = wanted
        note = ""
        if find_canary(state, spec.request_id) is not None:
            begin_event(database, state, who=spec.actor, why=_explain(spec, state.slowness))
            state, note = drive_canary(database, spec.deployment, spec.request_id)
        if state.request_id == spec.request_id:
            record_event(
                database,
                state,
                action=spec.action,
                who=spec.actor,
                why=f"{_explain(spec, state.slowness)} {note}".strip(),
                from_version=_find_origin(before, state, spec),
            )
        try:
            now, served_by = reconcile(database, spec.deployment)
        except (ServeError, FileNotFoundError) as error:
            if before.version == state.version:
                raise
            why = (
                f"Version {state.version} could not be put in service; version {before.version} "
                f"goes on. {error}"
            )
            _put_back(database, state, before, why)
            reconcile(database, spec.deployment)
            raise UserError(why) from None
    kept = ", frozen" if now.frozen else ""
    endpoint = address_of(environment.host(), now.port)
    print(
        f"{spec.deployment} version {now.version} serves at {endpoint}{kept}. {note}".strip(),
        flush=True,
    )
    return PublishOutcome(
        deployment=spec.deployment,
        action=spec.action,
        version=now.version,
        replaced_version=now.replaced_version,
        frozen=now.frozen,
        replicas=now.rollout.replicas if served_by == "container" else 1,
        generation=now.generation,
        endpoint=endpoint,
        served_by=served_by,
        note=note,
    )


def _find_origin(before: DesiredState, state: DesiredState, spec: PublishSpec) -> int | None:
    """The version that the event leads away from."""
    if spec.action not in MOVES:
        return state.version
    if before.canary is not None and before.version == state.version:
        return before.canary.version
    return state.replaced_version
