"""A whole installation of its own for the integration tests: own home, own ports."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.settings import PREFIX, Settings, read_settings

REPO = Path(__file__).parents[2]
# What is costly to make and never written to by a running stack.
SHARED_FOLDERS = ("venvs", "jars", "wheelhouse")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all held open until the last one is known."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@dataclass(frozen=True)
class Stack:
    """The launcher, pointed at one home."""

    environment: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        return read_settings(self.environment)

    def run(
        self, *arguments: str, check: bool = True, timeout: float = 1200
    ) -> subprocess.CompletedProcess[str]:
        """Call ./modelmill; a failure shows what it printed."""
        done = subprocess.run(
            [str(REPO / "modelmill"), *arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"modelmill {' '.join(arguments)} ended with {done.returncode}\n"
                f"--- stdout\n{done.stdout[-4000:]}\n--- stderr\n{done.stderr[-4000:]}"
            )
        return done

    def json(self, *arguments: str, timeout: float = 1200) -> dict[str, Any]:
        """Call a command with --json and parse the one object it prints."""
        answer = json.loads(self.run(*arguments, "--json", timeout=timeout).stdout)
        assert isinstance(answer, dict)
        return answer


def make_environment(home: Path, source_home: Path) -> dict[str, str]:
    """Environment of a fresh home that borrows the environments and jars of another."""
    home.mkdir(parents=True, exist_ok=True)
    for name in SHARED_FOLDERS:
        shared = source_home / name
        if shared.exists() and not (home / name).exists():
            (home / name).symlink_to(shared)
    names = [name for name in Settings.model_fields if name.startswith("port_")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    kept = {k: v for k, v in os.environ.items() if not k.startswith((PREFIX, "AIRFLOW"))}
    return {
        **kept,
        **{PREFIX + name.upper(): str(port) for name, port in ports.items()},
        f"{PREFIX}HOME": str(home),
        f"{PREFIX}INSTALL": os.environ.get(f"{PREFIX}INSTALL", ""),
        f"{PREFIX}DOCKER_HOST": os.environ.get(f"{PREFIX}DOCKER_HOST", ""),
    }
