"""Model servers in Docker containers."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Literal

from docker.client import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import LogConfig

from serving import environment
from serving.docker_client import (
    DEPLOYMENT_LABEL,
    HOME_LABEL,
    ROLE_LABEL,
    VERSION_LABEL,
    home_label,
)
from serving.hosts import Running, Served, ServedBy, address_of
from serving.image import ensure_model_image
from serving.smoke import ServeError, read_health, wait_ready
from serving.tokens import FOLDER

PORT = "8000/tcp"
# The server's own grace for requests in work, and a little.
STOP_SECONDS = 12
MEMORY = "2g"
# Where a container finds the tokens' folder.
TOKENS = "/tokens"
MAX_PROCESSES = 256
LOG_LINES = 15

# The engine's default bridge would be shared by every engine of this machine.
NETWORK = "modelmill-{}"

_RESTART: Any = {"Name": "unless-stopped"}

Role = Literal["candidate", "service"]


class ContainerHost:
    """One container a deployment, found by its labels."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    @property
    def served_by(self) -> ServedBy:
        return "container"

    def _find(self, **labels: str) -> list[Container]:
        wanted = [f"{HOME_LABEL}={home_label()}"]
        wanted += [f"modelmill.{key}={value}" for key, value in labels.items()]
        found: list[Container] = self._client.containers.list(all=True, filters={"label": wanted})
        return found

    def _create(self, served: Served, role: Role, port: int | None) -> Container:
        image = ensure_model_image(
            self._client, served.image_tag, served.bundle_uri, served.deployment, served.version
        )
        limits: dict[str, Any] = {}
        info = self._client.info()
        if info.get("MemoryLimit"):
            limits["mem_limit"] = MEMORY
        if info.get("PidsLimit"):
            limits["pids_limit"] = MAX_PROCESSES
        container: Container = self._client.containers.create(
            image,
            name=f"modelmill-{served.deployment}-{served.version}-{uuid.uuid4().hex[:6]}",
            labels={
                HOME_LABEL: home_label(),
                DEPLOYMENT_LABEL: served.deployment,
                VERSION_LABEL: str(served.version),
                ROLE_LABEL: role,
            },
            environment=environment.server_settings() | _name_tokens(served, role),
            volumes=_mount_tokens(role),
            network=_ensure_network(self._client),
            # Port 0: the engine takes a free one.
            ports={PORT: (environment.host(), port or 0)},
            read_only=True,
            tmpfs={"/tmp": "size=128m"},  # noqa: S108  (inside the container)
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            restart_policy=_RESTART if role == "service" else None,
            # Logs of a busy server must not fill the disk.
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
            **limits,
        )
        return container

    def _start(self, container: Container, served: Served) -> str:
        try:
            container.start()
        except APIError as error:
            raise ServeError(f"{served.image_tag} cannot be started: {error.explanation}") from None
        container.reload()
        bound = container.attrs["NetworkSettings"]["Ports"].get(PORT)
        if not bound:
            raise ServeError(f"{served.image_tag} ended while starting: {_last_words(container)}")
        address = address_of(environment.host(), int(bound[0]["HostPort"]))
        wait_ready(address, served.deployment, served.version, lambda: _find_death(container))
        return address

    @contextmanager
    def candidate(self, served: Served) -> Iterator[str]:
        for left in self._find(deployment=served.deployment, role="candidate"):
            _remove(left)
        container = self._create(served, "candidate", None)
        try:
            yield self._start(container, served)
        finally:
            _remove(container)

    def serve(self, served: Served, port: int) -> None:
        present = self._find(deployment=served.deployment, role="service")
        current = next((c for c in present if _answers(c, served, port)), None)
        if current is None:
            current = self._swap(served, port, present)
        for container in self._find(deployment=served.deployment):
            if container.id != current.id:
                _remove(container)

    def _swap(self, served: Served, port: int, present: list[Container]) -> Container:
        # Created beforehand, so that nothing but the start lies between the old and the new.
        fresh = self._create(served, "service", port)
        for container in present:
            container.stop(timeout=STOP_SECONDS)
        try:
            if not environment.is_port_free(port):
                raise ServeError(
                    f"Port {port} of {served.deployment} is taken by another program. Free it "
                    f"(ss -ltnp 'sport = :{port}' names it) and try again."
                )
            self._start(fresh, served)
        except ServeError:
            _remove(fresh)
            # One that was created and never started is the trace of an attempt that died.
            served_before = [c for c in present if c.status != "created"]
            if served_before:
                served_before[0].start()  # the list is newest first
            raise
        return fresh

    def stop(self, deployment: str) -> None:
        for container in self._find(deployment=deployment):
            container.stop(timeout=STOP_SECONDS)
            _remove(container)
        if not self._find():
            for network in _list_networks(self._client):
                network.remove()

    def list_running(self) -> tuple[Running, ...]:
        return tuple(
            Running(
                deployment=container.labels[DEPLOYMENT_LABEL],
                version=int(container.labels[VERSION_LABEL]),
                served_by=self.served_by,
                state=container.status,
                name=str(container.name),
                port=_port(container),
            )
            for container in self._find()
        )


def _mount_tokens(role: Role) -> dict[str, dict[str, str]]:
    """The folder, not the file: a file that is replaced would stay the old one inside."""
    if role == "candidate":  # asked by the job alone, which has no token
        return {}
    folder = environment.home() / FOLDER
    folder.mkdir(exist_ok=True)
    return {str(folder): {"bind": TOKENS, "mode": "ro"}}


def _name_tokens(served: Served, role: Role) -> dict[str, str]:
    return {} if role == "candidate" else {"MODELMILL_TOKENS": f"{TOKENS}/{served.deployment}.json"}


def _list_networks(client: DockerClient) -> list[Network]:
    found: list[Network] = client.networks.list(filters={"label": f"{HOME_LABEL}={home_label()}"})
    return found


def _ensure_network(client: DockerClient) -> str:
    name = NETWORK.format(home_label())
    if not _list_networks(client):
        try:
            client.networks.create(name, check_duplicate=True, labels={HOME_LABEL: home_label()})
        except APIError as error:
            # Another deployment's job has made it since.
            if error.status_code != HTTPStatus.CONFLICT:
                raise
    return name


def _port(container: Container) -> int | None:
    bindings = container.attrs["HostConfig"]["PortBindings"] or {}
    value = (bindings.get(PORT) or [{}])[0].get("HostPort")
    return int(value) if value else None


def _answers(container: Container, served: Served, port: int) -> bool:
    if container.labels[VERSION_LABEL] != str(served.version) or _port(container) != port:
        return False
    health = read_health(address_of(environment.host(), port))
    return (
        container.status == "running"
        and health is not None
        and (health.deployment, health.version) == (served.deployment, served.version)
    )


def _last_words(container: Container) -> str:
    return container.logs(tail=LOG_LINES).decode(errors="replace").strip() or "it said nothing"


def _find_death(container: Container) -> str | None:
    try:
        container.reload()
    except NotFound:
        return "it was removed"
    return None if container.status == "running" else _last_words(container)


def _remove(container: Container) -> None:
    try:
        container.remove(force=True)
    except NotFound:
        return
