"""A whole installation of its own for the integration tests, behind the launcher."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.settings import Settings, read_settings

REPO = Path(__file__).parents[2]


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

    def train(self, dataset: str, *form: str) -> dict[str, Any]:
        """A run to its end; where tests that are repeated have trained it before, what it left."""
        answer = self.json("train", "--dataset", dataset, *form, "--wait")
        if answer["endpoint"] is None:
            served = self.json("deployments")["deployments"]
            answer["endpoint"] = next(
                (one["endpoint"] for one in served if one["deployment"] == dataset), None
            )
        return answer
