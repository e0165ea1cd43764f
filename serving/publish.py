"""What a person decides about a deployment: promote, roll back, freeze, release, set."""

from typing import Any

from serving import environment
from serving.desired import (
    DesiredState,
    PastVersion,
    compare_and_set,
    list_desired,
    read_desired,
    record_event,
)
from serving.hosts import address_of
from serving.image import name_image
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.reconcile import reconcile
from serving.registry import Registry
from serving.smoke import ServeError
from serving.spec import PublishOutcome, PublishSpec

# Actions that put another version in service.
MOVES = ("promote", "rollback")


def _read_state(database: Any, deployment: str) -> DesiredState:
    state = read_desired(database, deployment)
    if state is None:
        names = ", ".join(one.deployment for one in list_desired(database)) or "none"
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
    common = {"request_id": spec.request_id}
    if spec.action == "freeze":
        return state.advance(frozen=True, **common)
    if spec.action == "release":
        return state.advance(frozen=False, **common)
    if spec.action == "set":
        if not spec.replicas:
            raise UserError("What is to be set? Give the number of replicas.")
        rollout = state.rollout.model_copy(update={"replicas": spec.replicas})
        return state.advance(rollout=rollout, **common)
    if spec.action == "pin":
        pinned = _find_version(state, spec.version) if spec.version else state.past
        return state.advance(reference=pinned, **common)
    if spec.action == "promote" and not spec.version:
        raise UserError("Which version? Give the number of the one to promote.")
    version = spec.version or find_version_before(state)
    if version == state.version:
        raise UserError(f"Deployment {spec.deployment!r} serves version {version} already.")
    target = _find_version(state, version)
    if spec.action == "promote":
        return state.serve_next(target, **common)
    # Otherwise the next night would undo it.
    return state.serve_again(target, frozen=True, **common)


def _put_back(database: Any, wanted: DesiredState, before: DesiredState, why: str) -> None:
    """What served goes on, and the desired state says so; nothing where it has moved on since."""
    fields = {"generation": wanted.generation + 1, "moved_generation": wanted.generation + 1}
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
        if state.request_id != spec.request_id:
            wanted = decide(state, spec)
            if not compare_and_set(database, wanted, state.generation):
                raise UserError(
                    f"Deployment {spec.deployment!r} was changed by somebody else just now: look "
                    f"at it (./modelmill deployments {spec.deployment}), and say again."
                )
            state = wanted
        moves = spec.action in MOVES
        record_event(
            database,
            state,
            action=spec.action,
            who=spec.actor,
            why=spec.reason,
            from_version=state.replaced_version if moves else state.version,
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
    print(f"{spec.deployment} version {now.version} serves at {endpoint}{kept}", flush=True)
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
    )
