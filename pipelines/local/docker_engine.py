"""Which Docker engine is used: the user's where one answers, else our own, else none."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.local.layout import Layout
from pipelines.settings import Settings

NO_DOCKER = "none"
# Where Docker's client looks for an engine when nothing tells it where to.
DEFAULT_SOCKET = "unix:///var/run/docker.sock"


def does_engine_answer(address: str) -> bool:
    """True where an engine answers at an address; empty: where Docker's own variables point."""
    import requests
    from docker.client import DockerClient
    from docker.errors import DockerException

    import docker

    socket = urlsplit(address or os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET)
    # Docker's client leaves its own socket open where there is none to connect to.
    if socket.scheme == "unix" and not Path(socket.path).exists():
        return False
    try:
        client = DockerClient(base_url=address, timeout=10) if address else docker.from_env()
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (DockerException, requests.RequestException):
        return False


def can_start_engine() -> bool:
    """True where our own can run: as root, with Debian's programs."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return os.geteuid() == 0 and all(shutil.which(name, path=path) for name in _PROGRAMS)


_PROGRAMS = ("dockerd", "containerd", "iptables")


def is_engine_wanted(settings: Settings) -> bool:
    """True where no address is set and none answers: our own is to be started."""
    return not settings.docker_host and not does_engine_answer("")


def choose_engine(settings: Settings, layout: Layout) -> str:
    """The address to use: a setting; empty for Docker's default; our own socket; or NO_DOCKER."""
    if settings.docker_host:
        return settings.docker_host
    if does_engine_answer(""):
        return ""
    return f"unix://{layout.docker_socket}" if can_start_engine() else NO_DOCKER
