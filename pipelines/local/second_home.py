"""A second installation beside one that is there: own data, own ports, the same environments."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from pipelines.settings import PREFIX, Settings

# What is costly to make and never written to by a running stack.
BORROWED = ("venvs", "jars", "wheelhouse")


def find_free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all held open until the last one is known."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def make_environment(home: Path, lender: Path, outer: Mapping[str, str]) -> dict[str, str]:
    """Environment of an installation at `home` that borrows from the one at `lender`.

    Of outer's settings only those that decide on packages and on the Docker engine are kept.
    """
    home.mkdir(parents=True, exist_ok=True)
    for name in BORROWED:
        (lender / name).mkdir(parents=True, exist_ok=True)
        if not (home / name).exists():
            (home / name).symlink_to(lender / name)
    names = [name for name in Settings.model_fields if name.startswith("port_")]
    ports = dict(zip(names, find_free_ports(len(names)), strict=True))
    kept = {k: v for k, v in outer.items() if not k.startswith((PREFIX, "AIRFLOW"))}
    return {
        **kept,
        **{PREFIX + name.upper(): str(port) for name, port in ports.items()},
        f"{PREFIX}HOME": str(home),
        f"{PREFIX}INSTALL": outer.get(f"{PREFIX}INSTALL", ""),
        f"{PREFIX}DOCKER_HOST": outer.get(f"{PREFIX}DOCKER_HOST", ""),
    }
