"""This installation's model images in the Docker engine."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipelines.context import Installation
from pipelines.local.docker_engine import NO_DOCKER, does_engine_answer
from pipelines.local.environment import read_docker_address

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.images import Image

TAG = re.compile(r"modelmill/([a-z][a-z0-9-]{0,39}):(\d+)")
# serving.image writes it: the snapshot that the model was trained on.
SNAPSHOT_LABEL = "modelmill.lineage.snapshot_id"
# And the installation that made the image.
BUILDER_LABEL = "modelmill.builder"


class ModelImage(BaseModel):
    """One version of a deployment. size_bytes: with the layers that it shares with others."""

    model_config = ConfigDict(frozen=True)

    tag: str
    deployment: str
    version: int
    size_bytes: int


@contextmanager
def use_engine(installation: Installation) -> "Iterator[DockerClient | None]":
    """A client of the engine that `up` chose; None where none answers."""
    from docker.client import DockerClient

    import docker

    address = read_docker_address(installation.settings, installation.layout)
    if address == NO_DOCKER or not does_engine_answer(address):
        yield None
        return
    client = DockerClient(base_url=address) if address else docker.from_env()
    try:
        yield client
    finally:
        client.close()


def read_images(client: "DockerClient", labels: Collection[str] = ()) -> "Iterator[Image]":
    """Those with all these labels, whoever made them; one that somebody removes meanwhile is none.

    The engine lists no layers: each image is read by itself, and Docker's own list fails there.
    """
    from docker.errors import ImageNotFound

    for listed in client.api.images(filters={"label": list(labels)}):
        try:
            yield client.images.get(listed["Id"])
        except ImageNotFound:
            continue


def list_images(
    client: "DockerClient", home_label: str, snapshots: Collection[str]
) -> tuple[ModelImage, ...]:
    """Images that this installation made of models that were trained on these snapshots.

    Others on the same engine may have the same data; others on other machines, the same home.
    """
    found = []
    ours = [SNAPSHOT_LABEL, f"{BUILDER_LABEL}={home_label}"]
    for image in read_images(client, ours):
        if image.labels.get(SNAPSHOT_LABEL) not in snapshots:
            continue
        size = int(image.attrs.get("Size", 0))
        for tag, match in ((tag, TAG.fullmatch(tag)) for tag in image.tags):
            if match:
                one = ModelImage(
                    tag=tag, deployment=match[1], version=int(match[2]), size_bytes=size
                )
                found.append(one)
    return tuple(found)


def remove_image(client: "DockerClient", tag: str) -> str:
    """Remove it; why not, where a container stands on it."""
    from docker.errors import APIError, ImageNotFound

    try:
        # Not by force: the engine itself refuses what is in use.
        client.images.remove(tag)
    except ImageNotFound:
        return ""
    except APIError as error:
        return str(error.explanation or error)
    return ""
