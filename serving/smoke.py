"""Is a model server there, and does it answer as the evaluated bundle did?"""

import base64
import time
from collections.abc import Callable

import requests
from pydantic import ValidationError

from serving.schemas import Health, PredictResponse
from serving.spec import SmokeSamples

READY_SECONDS = 60.0
POLL_SECONDS = 0.1


class ServeError(Exception):
    """A model server did not come up, or answers wrongly; the text says why."""


def read_health(address: str) -> Health | None:
    """The server's own word; None where nobody, or something else, answers."""
    try:
        response = requests.get(f"{address}/healthz", timeout=5)
        return Health.model_validate_json(response.content) if response.ok else None
    except (requests.RequestException, ValidationError):
        return None


def wait_ready(
    address: str, deployment: str, version: int, find_death: Callable[[], str | None]
) -> None:
    """Wait until this very version answers.

    find_death returns the server's last words once it has ended. Raises ServeError.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        health = read_health(address)
        if health is not None and (health.deployment, health.version) == (deployment, version):
            return
        death = find_death()
        if death is not None:
            raise ServeError(f"{deployment} version {version} ended while starting: {death}")
        time.sleep(POLL_SECONDS)
    raise ServeError(
        f"{deployment} version {version} did not answer at {address}/healthz in "
        f"{READY_SECONDS:.0f} s"
    )


def check_answers(address: str, samples: SmokeSamples) -> None:
    """Ask for each sample's label; raises ServeError at the first wrong one."""
    if not samples.samples:
        raise ServeError("there are no smoke samples to check the new version with")
    for sample in samples.samples:
        response = requests.post(
            f"{address}/v1/predict",
            data=base64.b64decode(sample.content_base64),
            headers={"Content-Type": "application/octet-stream"},
            timeout=30,
        )
        if not response.ok:
            raise ServeError(
                f"sample {sample.sha256[:12]} was answered with {response.status_code}: "
                f"{response.text[:500]}"
            )
        try:
            answer = PredictResponse.model_validate_json(response.content)
        except ValidationError as error:
            raise ServeError(f"sample {sample.sha256[:12]}: malformed answer: {error}") from None
        best = answer.results[0].label if answer.results else None
        if best != sample.predicted:
            raise ServeError(
                f"sample {sample.sha256[:12]} is {best!r} to the server, and was "
                f"{sample.predicted!r} to the bundle that was evaluated"
            )
