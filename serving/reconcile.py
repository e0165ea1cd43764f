"""Make what runs match the desired state: what deploy, up and a retry all call."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from xmlrpc.client import Fault

from docker.errors import DockerException

from serving import environment
from serving.canary_state import describe_trial, return_to_champion
from serving.containers import ContainerHost
from serving.desired import Canary, DesiredState, list_desired, read_desired
from serving.docker_client import use_docker
from serving.hosts import Host, Served, ServedBy, address_of
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.processes import ProcessHost
from serving.registry import Registry
from serving.smoke import ServeError
from serving.spec import ReconcileOutcome, ReconcileSpec

# What can go wrong with one deployment alone: its server, its bundle, its host, the registry.
FAILURES = (ServeError, UserError, DockerException, Fault, RuntimeError, OSError)


@contextmanager
def use_hosts() -> Iterator[tuple[Host, ...]]:
    """Every host that may hold servers of this installation, the preferred one last."""
    with use_docker() as client:
        yield (ProcessHost(), *([] if client is None else [ContainerHost(client)]))


def choose_host(hosts: tuple[Host, ...], image_tag: str) -> Host:
    """Containers where there is an image and an engine, else local processes."""
    return hosts[-1] if image_tag else hosts[0]


@contextmanager
def _lock() -> Iterator[None]:
    """One reconciliation at a time in this installation."""
    path = environment.home() / "serve" / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def reconcile(database: Any, deployment: str) -> tuple[DesiredState, ServedBy]:
    """Bring one deployment to its desired state; raises ServeError, KeyError where it has none.

    The state is read under the lock, so whoever comes last makes the newest state true.
    """
    with _lock(), use_hosts() as hosts:
        state = read_desired(database, deployment)
        if state is None:
            raise KeyError(deployment)
        host = choose_host(hosts, state.image_tag)
        for other in hosts:
            if other is not host:
                other.stop(deployment)
        if host.served_by == "process" and state.rollout.replicas > 1:
            print("A local process is one server: replicas need a Docker engine.", flush=True)
        if state.canary is not None:
            state = _serve_both(database, state, state.canary, host)
        if state.canary is None:
            host.serve(_describe(state), state.port)
        Registry().set_champion(deployment, state.version)
        return state, host.served_by


def _describe(state: DesiredState) -> Served:
    canary = state.canary
    return Served(
        deployment=state.deployment,
        version=state.version,
        image_tag=state.image_tag,
        bundle_uri=state.bundle_uri,
        replicas=state.rollout.replicas,
        trial=None if canary is None else describe_trial(canary),
    )


def _serve_both(database: Any, state: DesiredState, canary: Canary, host: Host) -> DesiredState:
    """Serve the canary beside the champion; the state without it, where it has to go."""
    why = ""
    if host.served_by != "container":
        why = "no Docker engine answers any more"
    elif canary.is_abandoned(datetime.now(UTC)):
        why = "its time was long over, and nobody had compared the two"
    else:
        try:
            host.serve(_describe(state), state.port)
        except (ServeError, UserError) as error:
            why = f"it could not be served beside version {state.version}: {error}"
    return return_to_champion(database, state, why) if why else state


def reconcile_all(_: ReconcileSpec) -> ReconcileOutcome:
    """Bring every deployment to its desired state; one that fails does not stop the others."""
    endpoints: dict[str, str] = {}
    failures: dict[str, str] = {}
    with use_database() as database:
        for state in list_desired(database):
            try:
                reconcile(database, state.deployment)
            except FAILURES as error:
                failures[state.deployment] = str(error)
                print(f"{state.deployment}: {error}", flush=True)
            else:
                endpoints[state.deployment] = address_of(environment.host(), state.port)
                print(f"{state.deployment}: {endpoints[state.deployment]}", flush=True)
    return ReconcileOutcome(endpoints=endpoints, failures=failures)
