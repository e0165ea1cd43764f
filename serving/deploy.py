"""Put one version in service: smoke test, compare-and-set, reconcile, audit."""

import base64
from datetime import UTC, datetime
from typing import Any

from serving import environment
from serving.canary import drive_canary
from serving.canary_state import begin_event, find_canary, return_to_champion
from serving.candidate import check_candidate
from serving.desired import (
    DesiredState,
    PastVersion,
    compare_and_set,
    list_desired,
    read_desired,
    record_event,
)
from serving.hosts import Served, address_of
from serving.job import store
from serving.job.errors import UserError
from serving.job.freezing import explain_freeze
from serving.job.mongo import use_database
from serving.reconcile import reconcile
from serving.reference import choose_reference
from serving.smoke import check_answers
from serving.spec import DeployOutcome, DeploySpec, SmokeSamples


def _moved(spec: DeploySpec, current: DesiredState | None) -> UserError:
    found = "is gone" if current is None else f"serves version {current.version}"
    generation = 0 if current is None else current.generation
    return UserError(
        f"Deployment {spec.deployment!r} changed after the gate looked at it: it now {found} "
        f"(generation {generation}, the gate saw {spec.expected_generation}). The gate must "
        "compare with that one: start the run again."
    )


def pick_port(database: Any, deployment: str) -> int:
    """First port from MODELMILL_PORT_SERVE on that no other deployment has and nobody uses."""
    taken = {s.port for s in list_desired(database) if s.deployment != deployment}
    first = environment.first_port()
    for port in range(first, min(first + 1000, 65536)):
        if port not in taken and environment.is_port_free(port):
            return port
    raise UserError(f"No free port from {first} on: set MODELMILL_PORT_SERVE to another.")


def _check_candidate(spec: DeploySpec, current: DesiredState | None) -> None:
    served = Served(
        deployment=spec.deployment,
        version=spec.version,
        image_tag=spec.image_tag,
        bundle_uri=spec.bundle_uri,
    )
    samples = store.read_model(spec.smoke_uri, SmokeSamples)
    pictures = [base64.b64decode(sample.content_base64) for sample in samples.samples]
    check_candidate(served, lambda address: check_answers(address, samples), pictures, current)
    print(f"Smoke test: {len(samples.samples)} right answers", flush=True)


def refuse_frozen(database: Any, deployment: str) -> UserError:
    """What is said of a deployment that was found frozen, also if it was released since."""
    return UserError(
        explain_freeze(database, deployment)
        or f"Deployment {deployment!r} was frozen, and somebody has released it this very moment: "
        "start again."
    )


def _set_desired(database: Any, spec: DeploySpec) -> DesiredState:
    """Write the desired state, unless an earlier attempt did; raises UserError."""
    current = read_desired(database, spec.deployment)
    if current is not None and (
        (current.version, current.bundle_uri) == (spec.version, spec.bundle_uri)
    ):
        return current
    if current is not None and find_canary(current, _name_request(spec)) is not None:
        return current
    if current is not None and current.frozen:
        raise refuse_frozen(database, spec.deployment)
    if _has_moved(spec, current):
        raise _moved(spec, current)
    if current is not None:
        current = _make_room(database, current, _name_request(spec))
    _check_candidate(spec, current)
    target = PastVersion(version=spec.version, image_tag=spec.image_tag, bundle_uri=spec.bundle_uri)
    if current is None:
        port = pick_port(database, spec.deployment)
        state = DesiredState(
            deployment=spec.deployment,
            generation=1,
            moved_generation=1,
            port=port,
            reference=choose_reference(None, target, spec.gate),
            **target.model_dump(),
        )
    else:
        reference = choose_reference(current, target, spec.gate)
        if current.wants_canary(target):
            state = current.begin_canary(
                target,
                since=datetime.now(UTC),
                request_id=_name_request(spec),
                reference=reference,
            )
        else:
            state = current.serve_next(target, reference=reference)
    if not compare_and_set(database, state, state.generation - 1):
        raise _moved(spec, read_desired(database, spec.deployment))
    return state


def _name_request(spec: DeploySpec) -> str:
    """The same in every attempt; a later run has seen another generation."""
    return f"deploy {spec.version} {spec.expected_generation} {spec.bundle_uri}"


def _make_room(database: Any, current: DesiredState, request_id: str) -> DesiredState:
    """The state without a canary; raises UserError where one is under way, or was this one."""
    if current.dropped is not None and current.dropped.request_id == request_id:
        raise UserError(current.dropped.why)
    if current.canary is None:
        return current
    if current.canary.is_abandoned(datetime.now(UTC)):
        return return_to_champion(database, current, "its time was over, and nobody compared them")
    raise UserError(
        f"Deployment {current.deployment!r} is trying version {current.canary.version} with "
        f"{current.canary.percent} % of its requests until {current.canary.end:%H:%M} UTC. Wait "
        f"for that, or end it (./modelmill rollback {current.deployment}), and start again."
    )


def _has_moved(spec: DeploySpec, current: DesiredState | None) -> bool:
    if current is None or spec.expected_generation == 0:
        return (current is None) != (spec.expected_generation == 0)
    return current.has_moved_since(spec.expected_generation)


def deploy(spec: DeploySpec) -> DeployOutcome:
    """Deploy; may be repeated after a crash at any line.

    Raises UserError where the version answers wrongly or the deployment moved, ServeError where
    it could not take over the port: the old version serves then, and a retry tries again.
    """
    with use_database() as database:
        wanted = _set_desired(database, spec)
        note, own = "", True
        if find_canary(wanted, _name_request(spec)) is not None:
            begin_event(database, wanted, who=spec.actor, why=spec.reason, gate=spec.gate)
            wanted, note = drive_canary(database, spec.deployment, _name_request(spec))
            # Else a person did not want to wait, and that is the event.
            own = wanted.request_id == _name_request(spec)
        if own:
            record_event(
                database,
                wanted,
                action="deploy",
                who=spec.actor,
                why=f"{spec.reason} {note}".strip(),
                from_version=wanted.replaced_version,
                gate=spec.gate,
            )
        state, served_by = reconcile(database, spec.deployment)
    if state.version != spec.version:
        raise _moved(spec, state)
    endpoint = address_of(environment.host(), state.port)
    print(
        f"{spec.deployment} version {state.version} serves at {endpoint}. {note}".strip(),
        flush=True,
    )
    return DeployOutcome(
        deployment=spec.deployment,
        version=state.version,
        generation=state.generation,
        endpoint=endpoint,
        served_by=served_by,
        replaced_version=state.replaced_version,
        note=note,
    )
