"""One deployment of a test in containers, and those who put versions in service meanwhile."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docker.client import DockerClient

from serving.containers import ContainerHost
from serving.deploy import deploy
from serving.desired import DesiredState, read_desired
from serving.environment import REPO
from serving.image import build_image, name_image
from serving.job.errors import UserError
from serving.job.spec import JobSpec
from serving.publish import publish
from serving.spec import DeployOutcome, DeploySpec, PublishAction, PublishOutcome, PublishSpec
from tests.serving import nonsense
from tests.serving.rooms import Room

NONSENSE = ["python", "/nonsense.py", "/answer"]


class Shop(Room):
    """A deployment in containers, half of whose requests a new version gets first."""

    def __init__(self, folder: Path, deployment: str, database: Any, client: DockerClient) -> None:
        super().__init__(folder, deployment, database)
        self.client = client

    def open(self, *, seconds: float, percent: int = 50) -> DeployOutcome:
        """Put the first version in service, one replica, and say how the next is tried."""
        made = deploy(self.register(sign=1))
        self.say("set", replicas=1, canary_percent=percent, canary_minutes=seconds / 60)
        return made

    def spoil(self, version: int, answer: str) -> None:
        """Put a server in the version's image that answers every picture with these characters."""
        tag = name_image(self.deployment, version)
        dockerfile = self.folder / "spoilt.Dockerfile"
        dockerfile.write_text(f"FROM {tag}\nCOPY nonsense /\nENTRYPOINT {json.dumps(NONSENSE)}\n")
        content: dict[str, Path | bytes] = {
            "nonsense/nonsense.py": Path(nonsense.__file__),
            "nonsense/answer": answer.encode(),
        }
        build_image(self.client, dockerfile, tag, content=content, buildargs={}, labels={})

    def spec(self, action: PublishAction, request_id: str = "", **fields: Any) -> PublishSpec:
        return PublishSpec(
            output_uri=self.folder.as_uri(),
            action=action,
            deployment=self.deployment,
            request_id=request_id or f"{action} {time.time()}",
            actor="test",
            reason="to see",
            **fields,
        )

    def say(self, action: PublishAction, request_id: str = "", **fields: Any) -> PublishOutcome:
        return publish(self.spec(action, request_id, **fields))

    def state(self) -> DesiredState:
        state = read_desired(self.database, self.deployment)
        assert state is not None
        return state

    def wait_for_canary(self) -> None:
        end = time.monotonic() + 180
        while not ((canary := self.state().canary) and canary.taking):
            assert time.monotonic() < end, self.state()
            time.sleep(0.05)

    def actions(self) -> list[str]:
        return [event["action"] for event in self.events()][2:]

    def versions(self) -> list[int]:
        return sorted(r.version for r in ContainerHost(self.client).list_running())


class Background:
    """A call in a thread, and what came of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.outcome: Any = None
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self.outcome = call()
        except UserError as error:
            self.outcome = error

    def wait(self) -> Any:
        self._thread.join(300)
        assert not self._thread.is_alive()
        return self.outcome


def run_driver(spec: DeploySpec) -> subprocess.Popen[bytes]:
    """deploy as a job of its own, which can be killed."""
    return _run_job(spec)


def run_publisher(spec: PublishSpec) -> subprocess.Popen[bytes]:
    """publish, likewise."""
    return _run_job(spec)


def _run_job(spec: JobSpec) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "serving.main", "--spec", spec.model_dump_json()],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.DEVNULL,
    )
