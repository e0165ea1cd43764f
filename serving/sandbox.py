"""How containers of this installation are made, locked down and found."""

import uuid
from http import HTTPStatus
from typing import Any, Literal

from docker.client import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import LogConfig

from serving.docker_client import (
    DEPLOYMENT_LABEL,
    HOME_LABEL,
    ROLE_LABEL,
    VERSION_LABEL,
    home_label,
)
from serving.last_words import read_last_words

# service: the one container that served before there were gateways.
Role = Literal["candidate", "replica", "gateway", "service"]
MAX_PROCESSES = 256
LOG_LINES = 15
# The engine's default bridge would be shared by every engine of this machine.
NETWORK = "modelmill-{}"
_RESTART: Any = {"Name": "unless-stopped"}


def create_container(
    client: DockerClient,
    image: str,
    *,
    deployment: str,
    version: int,
    role: Role,
    memory: str,
    cores: float,
    **options: Any,
) -> Container:
    """Create, not start: read-only, without capabilities, bounded, and known by its labels."""
    limits: dict[str, Any] = {}
    info = client.info()
    if info.get("MemoryLimit"):
        limits["mem_limit"] = memory
    if info.get("PidsLimit"):
        limits["pids_limit"] = MAX_PROCESSES
    if info.get("CpuCfsQuota"):
        # The engine refuses more than there is.
        limits["nano_cpus"] = int(min(cores, info["NCPU"]) * 1e9)
    container: Container = client.containers.create(
        image,
        name=f"modelmill-{deployment}-{role_name(role, version)}-{uuid.uuid4().hex[:6]}",
        labels={
            HOME_LABEL: home_label(),
            DEPLOYMENT_LABEL: deployment,
            VERSION_LABEL: str(version),
            ROLE_LABEL: role,
        },
        network=_ensure_network(client),
        read_only=True,
        tmpfs={"/tmp": "size=128m"},  # noqa: S108  (inside the container)
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        restart_policy=None if role == "candidate" else _RESTART,
        # Logs of a busy server must not fill the disk.
        log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        **limits,
        **options,
    )
    return container


def role_name(role: Role, version: int) -> str:
    """The part of a container's name that tells it from the deployment's others."""
    return "gateway" if role == "gateway" else str(version)


def find_containers(client: DockerClient, **labels: str) -> list[Container]:
    """This installation's, newest first; labels: deployment, version, role."""
    wanted = [f"{HOME_LABEL}={home_label()}"]
    wanted += [f"modelmill.{key}={value}" for key, value in labels.items()]
    # Another job may remove one between the engine's list and the look at each.
    found: list[Container] = client.containers.list(
        all=True, filters={"label": wanted}, ignore_removed=True
    )
    return found


def list_networks(client: DockerClient) -> list[Network]:
    """This installation's."""
    found: list[Network] = client.networks.list(filters={"label": f"{HOME_LABEL}={home_label()}"})
    return found


def _ensure_network(client: DockerClient) -> str:
    name = NETWORK.format(home_label())
    if not list_networks(client):
        try:
            client.networks.create(name, check_duplicate=True, labels={HOME_LABEL: home_label()})
        except APIError as error:
            # Another deployment's job has made it since.
            if error.status_code != HTTPStatus.CONFLICT:
                raise
    return name


def read_address(container: Container) -> str:
    """Its address on the network, which this machine reaches; empty where it does not run."""
    networks = container.attrs["NetworkSettings"]["Networks"]
    found = networks.get(NETWORK.format(home_label()), {})
    return str(found.get("IPAddress") or "")


def last_words(container: Container) -> str:
    """The end of its log."""
    log = container.logs(tail=LOG_LINES).decode(errors="replace")
    return read_last_words(log) or "it said nothing"


def find_death(container: Container) -> str | None:
    """Its last words, where it has ended."""
    try:
        container.reload()
    except NotFound:
        return "it was removed"
    # One that crashes is started again and again.
    if container.status == "running" and not container.attrs["RestartCount"]:
        return None
    return last_words(container)


def remove_container(container: Container) -> None:
    """At once, running or not."""
    try:
        container.remove(force=True)
    except NotFound:
        return


def end_container(container: Container, seconds: int) -> None:
    """Let it finish what it took, for so long, and remove it; it may be gone already."""
    try:
        container.stop(timeout=seconds)
    except NotFound:
        return
    remove_container(container)
