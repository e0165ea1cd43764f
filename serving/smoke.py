"""Is a model server there, and does it answer as the evaluated bundle did?"""

import base64
import io
import time
from collections.abc import Callable, Iterator

import requests
from PIL import Image
from pydantic import BaseModel, ValidationError

from serving.bundle.labels import write_labels
from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.schemas import Health, PredictResponse
from serving.spec import SmokeSamples

READY_SECONDS = 60.0
POLL_SECONDS = 0.1


class ServeError(Exception):
    """A model server did not come up, or answers wrongly; the text says why."""


class _Told(BaseModel):
    """Of what a server tells about its model, whatever its version tells besides."""

    task: Task = ONE


def read_task(address: str) -> Task:
    """Whether it answers one label a picture, or several; raises ServeError."""
    try:
        response = requests.get(f"{address}/v1/model", timeout=30)
    except requests.RequestException as error:
        raise ServeError(f"it did not say what it serves: {error}") from None
    if not response.ok:
        raise ServeError(f"it did not say what it serves: {response.status_code}")
    try:
        return _Told.model_validate_json(response.content).task
    except ValidationError as error:
        raise ServeError(f"it serves what is not known here: {error}") from None


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
    """Ask for each sample's label; raises ServeError at the first wrong one.

    Of several labels every one counts, and that there is no other.
    """
    if not samples.samples:
        raise ServeError("there are no smoke samples to check the new version with")
    task = read_task(address)
    for sample in samples.samples:
        name = f"sample {sample.sha256[:12]}"
        answer = ask(address, name, base64.b64decode(sample.content_base64))
        said = name_answer(answer, task)
        if said != sample.predicted:
            raise ServeError(
                f"{name} is {said!r} to the server, and was {sample.predicted!r} to the bundle "
                "that was evaluated"
            )


def name_answer(answer: PredictResponse, task: Task) -> str | None:
    """As the evaluation writes it: several labels as `a|b`, else the best class, even if declined.

    None where there is no class at all.
    """
    if task == SEVERAL:
        return write_labels(answer.labels)
    return answer.results[0].label if answer.results else None


def check_sense(address: str) -> None:
    """Whether it answers pictures at all, for who has no samples; raises ServeError."""
    for name, content in make_pictures():
        if not ask(address, name, content).results:
            raise ServeError(f"{name} was answered with no class at all")


def make_pictures() -> Iterator[tuple[str, bytes]]:
    """Plain ones with their names, for who has no samples."""
    for name, level in (("a black picture", 0), ("a grey picture", 128), ("a white picture", 255)):
        buffer = io.BytesIO()
        Image.new("L", (64, 64), level).save(buffer, "PNG")
        yield name, buffer.getvalue()


def ask(address: str, name: str, content: bytes) -> PredictResponse:
    """The answer to one picture; raises ServeError where there is none, or it is none."""
    try:
        response = requests.post(
            f"{address}/v1/predict",
            data=content,
            headers={"Content-Type": "application/octet-stream"},
            timeout=30,
        )
    except requests.RequestException as error:
        raise ServeError(f"{name} was not answered: {error}") from None
    if not response.ok:
        raise ServeError(f"{name} was answered with {response.status_code}: {response.text[:500]}")
    try:
        return PredictResponse.model_validate_json(response.content)
    except ValidationError as error:
        raise ServeError(f"{name}: malformed answer: {error}") from None
