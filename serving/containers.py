"""Model servers in Docker containers: a deployment's replicas behind their gateway."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any

from docker.client import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from serving import environment
from serving.docker_client import DEPLOYMENT_LABEL, ROLE_LABEL, VERSION_LABEL
from serving.gateway import KEEP_ALIVE_SECONDS, PORT
from serving.gateway_container import PUBLISHED, Gateway, find_port, remove_folder
from serving.hosts import Running, Served, ServedBy, address_of, try_beside
from serving.image import ensure_model_image
from serving.sandbox import (
    Role,
    create_container,
    end_container,
    find_containers,
    find_death,
    last_words,
    list_networks,
    read_address,
    remove_container,
)
from serving.smoke import ServeError, read_health, wait_ready
from serving.tokens import FOLDER

# The server's own grace for requests in work, and a little.
STOP_SECONDS = 12
MEMORY = "2g"
# Where a container finds the tokens' folder.
TOKENS = "/tokens"
# And the folder in which it keeps requests.
KEPT = "/kept"
# After the gateway has turned away from a replica, a caller's kept connection may still use it.
LINGER_SECONDS = KEEP_ALIVE_SECONDS + 0.5


class ContainerHost:
    """Replicas and a gateway for each deployment, found by their labels."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        # Names of those that this host has started and not yet removed.
        self._candidates: set[str] = set()

    @property
    def served_by(self) -> ServedBy:
        return "container"

    def _find(self, **labels: str) -> list[Container]:
        return find_containers(self._client, **labels)

    def _create(self, served: Served, role: Role) -> Container:
        image = ensure_model_image(
            self._client, served.image_tag, served.bundle_uri, served.deployment, served.version
        )
        candidate = role == "candidate"
        given = environment.server_settings()
        options: dict[str, Any] = {}
        if candidate:
            # Port 0: the engine takes a free one.
            options["ports"] = {PUBLISHED: (environment.host(), 0)}
        else:
            options["volumes"] = _mount_tokens() | _mount_kept(served.deployment)
            given |= {"MODELMILL_TOKENS": f"{TOKENS}/{served.deployment}.json"}
            given |= environment.keep_settings(served.deployment, KEPT)
        cores = self._client.info()["NCPU"]
        return create_container(
            self._client,
            image,
            deployment=served.deployment,
            version=served.version,
            role=role,
            memory=MEMORY,
            # The server starts as many threads as it may use cores.
            cores=cores if candidate else max(1.0, cores / served.replicas),
            environment=given,
            **options,
        )

    def _start(self, container: Container, served: Served) -> None:
        try:
            container.start()
        except APIError as error:
            raise ServeError(f"{served.image_tag} cannot be started: {error.explanation}") from None

    def _wait(self, container: Container, served: Served) -> str:
        """Address of the ready server."""
        try:
            container.reload()
        except NotFound:
            raise ServeError(f"{served.image_tag}: its container was removed") from None
        address = _read_url(container)
        if not address:
            raise ServeError(f"{served.image_tag} ended while starting: {last_words(container)}")
        wait_ready(address, served.deployment, served.version, lambda: find_death(container))
        return address

    @contextmanager
    def candidate(self, served: Served) -> Iterator[str]:
        for left in self._find(deployment=served.deployment, role="candidate"):
            if left.name not in self._candidates:
                remove_container(left)
        container = self._create(served, "candidate")
        self._candidates.add(str(container.name))
        try:
            self._start(container, served)
            yield self._wait(container, served)
        finally:
            remove_container(container)
            self._candidates.discard(str(container.name))

    def serve(self, served: Served, port: int) -> None:
        # A candidate is another publish's, which may be asking it at this moment.
        found = self._find(deployment=served.deployment)
        present = [c for c in found if c.labels[ROLE_LABEL] != "candidate"]
        sides = [served] if served.trial is None else [served, try_beside(served, served.trial)]
        fit = [[c for c in present if _answers(c, s)][: s.replicas] for s in sides]
        fresh: list[list[Container]] = [[] for _ in sides]
        before = [c for c in present if c.labels[ROLE_LABEL] == "service"]
        gateway = Gateway(self._client, served.deployment, port)
        known = {*gateway.list_replicas(), *(c.name for c in before)}
        versions = {c.labels[VERSION_LABEL] for c in present if c.name in known}
        try:
            for side, there, made in zip(sides, fit, fresh, strict=True):
                made += [self._create(side, "replica") for _ in range(side.replicas - len(there))]
            _do_at_once(
                self._start,
                [(c, side) for side, made in zip(sides, fresh, strict=True) for c in made],
            )
            for side, made in zip(sides, fresh, strict=True):
                for container in made:
                    self._wait(container, side)
            groups = [[*there, *made] for there, made in zip(fit, fresh, strict=True)]
            names = [sorted(str(c.name) for c in group) for group in groups]
            changed = gateway.direct(
                names[0],
                before,
                canaries=names[1] if len(names) > 1 else (),
                percent=0 if served.trial is None else served.trial.percent,
            )
        except Exception:
            for container in chain(*fresh):
                remove_container(container)
            raise
        kept = {c.id for c in chain(*groups)}
        old = [c for c in present if c.id not in kept and c.labels[ROLE_LABEL] != "gateway"]
        if changed and str(served.version) not in versions:
            # Before those that are left come to their end: who waits for it need not wait for that.
            print(f"{served.deployment} version {served.version} serves now.", flush=True)
        if changed and any(c.status == "running" for c in old):
            time.sleep(LINGER_SECONDS)
        _end_all(old)

    def find_trouble(self, deployment: str, version: int) -> str | None:
        """Last words of a replica of this version that has ended or was restarted."""
        for container in self._find(deployment=deployment, version=str(version), role="replica"):
            death = find_death(container)
            if death is not None:
                return death
        return None

    def stop(self, deployment: str) -> None:
        found = self._find(deployment=deployment)
        # The gateway first, so that nobody is sent to a replica that ends.
        _end_all([c for c in found if c.labels[ROLE_LABEL] == "gateway"])
        _end_all([c for c in found if c.labels[ROLE_LABEL] != "gateway"])
        if found:
            remove_folder(deployment)
        if not self._find():
            for network in list_networks(self._client):
                network.remove()

    def list_running(self) -> tuple[Running, ...]:
        found = self._find()
        ports = {
            c.labels[DEPLOYMENT_LABEL]: find_port(c)
            for c in found
            if c.labels[ROLE_LABEL] in ("gateway", "service")
        }
        return tuple(
            Running(
                deployment=container.labels[DEPLOYMENT_LABEL],
                version=int(container.labels[VERSION_LABEL]),
                served_by=self.served_by,
                state=container.status,
                name=str(container.name),
                port=ports.get(container.labels[DEPLOYMENT_LABEL]),
            )
            for container in found
            if container.labels[ROLE_LABEL] != "gateway"
        )


def _do_at_once(work: Callable[..., None], each: Sequence[tuple[object, ...]]) -> None:
    """One call for each, all at the same time; raises what the first of them raised, at the end."""
    if each:
        with ThreadPoolExecutor(len(each), thread_name_prefix="containers") as pool:
            futures = [pool.submit(work, *arguments) for arguments in each]
        for future in futures:
            future.result()


def _end_all(containers: Sequence[Container]) -> None:
    _do_at_once(end_container, [(container, STOP_SECONDS) for container in containers])


def _mount_tokens() -> dict[str, dict[str, str]]:
    """The folder, not the file: a file that is replaced would stay the old one inside."""
    folder = environment.home() / FOLDER
    folder.mkdir(exist_ok=True)
    return {str(folder): {"bind": TOKENS, "mode": "ro"}}


def _mount_kept(deployment: str) -> dict[str, dict[str, str]]:
    """Where requests are kept, the folder that all replicas write to; the only one."""
    folder = environment.make_kept_folder(deployment)
    if folder is None:
        return {}
    # The container's user is no user of this machine: others here are stopped a folder above.
    folder.chmod(0o777)
    return {str(folder): {"bind": KEPT, "mode": "rw"}}


def _read_url(container: Container) -> str:
    """Where this machine reaches the server itself; empty where it does not run."""
    bound = container.attrs["NetworkSettings"]["Ports"].get(PUBLISHED)
    if bound:
        return address_of(environment.host(), int(bound[0]["HostPort"]))
    address = read_address(container)
    return address_of(address, PORT) if address else ""


def _answers(container: Container, served: Served) -> bool:
    labels = container.labels
    if (labels[ROLE_LABEL], labels[VERSION_LABEL]) != ("replica", str(served.version)):
        return False
    url = _read_url(container)
    if container.status != "running" or not url:
        return False
    health = read_health(url)
    return health is not None and (health.deployment, health.version) == (
        served.deployment,
        served.version,
    )
