"""The container before a deployment's replicas: one published port, one configuration."""

import time
from collections.abc import Sequence
from pathlib import Path

import requests
from docker.client import DockerClient
from docker.errors import APIError, ContainerError
from docker.models.containers import Container

from serving import environment
from serving.gateway import CONFIGURATION_PATH, PORT, list_replicas, read_mark, render_config
from serving.gateway_image import ensure_gateway_image
from serving.hosts import address_of
from serving.limits import read_limits
from serving.sandbox import create_container, find_containers, last_words, remove_container
from serving.smoke import ServeError

PUBLISHED = f"{PORT}/tcp"
FOLDER = "/gateway"
FILE = "haproxy.cfg"
MEMORY = "512m"
READY_SECONDS = 30.0
POLL_SECONDS = 0.05
# Long requests end by themselves; HAProxy ends what is left.
STOP_SECONDS = 12


def locate_folder(deployment: str) -> Path:
    """The folder that the gateway sees as FOLDER; a folder, for a file that is replaced would stay
    the old one inside."""
    return environment.home() / "serve" / "gateway" / deployment


def find_port(container: Container) -> int | None:
    """The port that it publishes, running or not."""
    bindings = container.attrs["HostConfig"]["PortBindings"] or {}
    value = (bindings.get(PUBLISHED) or [{}])[0].get("HostPort")
    return int(value) if value else None


class Gateway:
    """One deployment's. Everything here raises ServeError."""

    def __init__(self, client: DockerClient, deployment: str, port: int) -> None:
        self._client, self._deployment, self._port = client, deployment, port
        self._folder = locate_folder(deployment)

    def list_replicas(self) -> tuple[str, ...]:
        """Names of the containers that it was last directed to, without canaries."""
        file = self._folder / FILE
        return list_replicas(file.read_text()) if file.is_file() else ()

    def direct(
        self,
        replicas: Sequence[str],
        in_the_way: Sequence[Container],
        *,
        canaries: Sequence[str] = (),
        percent: int = 0,
    ) -> bool:
        """Send all requests to these containers from now on; whether anything had to change.

        canaries: containers that get `percent` of them.
        in_the_way: containers that hold the port and are stopped for it, with a short gap. Where
        the gateway does not come up they serve again.
        """
        limits = read_limits(environment.server_settings())
        config = render_config(
            replicas,
            canaries,
            percent,
            header_seconds=limits.header_seconds,
            body_seconds=limits.body_seconds,
            answer_seconds=limits.answer_seconds,
        )
        image = ensure_gateway_image(self._client)
        present = find_containers(self._client, deployment=self._deployment, role="gateway")
        current = next((c for c in present if self._fits(c, image)), None)
        if current is not None and self._read_mark() == read_mark(config):
            return False
        file = self._folder / FILE
        before = file.read_text() if file.is_file() else None
        self._write(config, image, current)
        try:
            if current is None:
                self._replace(image, [*present, *in_the_way], read_mark(config))
            else:
                current.kill("SIGUSR2")
                self._wait(read_mark(config), current)
        except ServeError:
            if before is not None:
                file.write_text(before)
            if current is not None:
                current.kill("SIGUSR2")
            raise
        for container in find_containers(self._client, deployment=self._deployment, role="gateway"):
            if not self._fits(container, image):
                remove_container(container)
        return True

    def _fits(self, container: Container, image: str) -> bool:
        return (
            container.status == "running"
            and container.attrs["Config"]["Image"] == image
            and find_port(container) == self._port
        )

    def _read_mark(self) -> str:
        address = address_of(environment.host(), self._port)
        try:
            answer = requests.get(f"{address}{CONFIGURATION_PATH}", timeout=2)
        except requests.RequestException:
            return ""
        return answer.text if answer.ok else ""

    def _write(self, config: str, image: str, current: Container | None) -> None:
        """Checked by HAProxy itself before it is put in place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{FILE}.new"
        fresh.write_text(config)
        problem = self._find_problem(["-c", "-f", f"{FOLDER}/{fresh.name}"], image, current)
        if problem:
            raise ServeError(f"HAProxy refuses the gateway's configuration: {problem}")
        fresh.replace(self._folder / FILE)

    def _find_problem(self, arguments: Sequence[str], image: str, current: Container | None) -> str:
        """What HAProxy says against a configuration; empty where it takes it."""
        if current is not None:
            code, output = current.exec_run(["haproxy", *arguments])
            return repr(output) if code else ""
        try:
            self._client.containers.run(
                image,
                list(arguments),
                entrypoint=["haproxy"],
                volumes=self._mount(),
                network_mode="none",
                read_only=True,
                cap_drop=["ALL"],
                remove=True,
            )
        except ContainerError as error:
            return repr(error.stderr)
        return ""

    def _mount(self) -> dict[str, dict[str, str]]:
        return {str(self._folder): {"bind": FOLDER, "mode": "ro"}}

    def _replace(self, image: str, in_the_way: Sequence[Container], mark: str) -> None:
        fresh = create_container(
            self._client,
            image,
            deployment=self._deployment,
            version=0,
            role="gateway",
            memory=MEMORY,
            cores=1,
            volumes=self._mount(),
            ports={PUBLISHED: (environment.host(), self._port)},
        )
        served = [c for c in in_the_way if c.status == "running"]
        for container in served:
            container.stop(timeout=STOP_SECONDS)
        try:
            if not environment.is_port_free(self._port):
                raise ServeError(
                    f"Port {self._port} of {self._deployment} is taken by another program. Free it "
                    f"(ss -ltnp 'sport = :{self._port}' names it) and try again."
                )
            fresh.start()
            self._wait(mark, fresh)
        except (APIError, ServeError) as error:
            remove_container(fresh)
            for container in served[:1]:
                container.start()
            if isinstance(error, APIError):
                raise ServeError(f"{image} cannot be started: {error.explanation}") from None
            raise

    def _wait(self, mark: str, container: Container) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self._read_mark() != mark:
            if time.monotonic() > deadline:
                raise ServeError(
                    f"The gateway of {self._deployment} does not follow its new configuration: "
                    f"{last_words(container)}"
                )
            time.sleep(POLL_SECONDS)


def remove_folder(deployment: str) -> None:
    """What the gateway was told."""
    folder = locate_folder(deployment)
    for name in (FILE, f"{FILE}.new"):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir():
        folder.rmdir()
