"""Images that no deployment owns, runtimes and gateways: which of them nothing needs any more."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipelines.images import read_images
from pipelines.leftovers import GRACE

if TYPE_CHECKING:
    from docker.client import DockerClient

# serving.image and serving.gateway_image name them so.
REPOSITORIES = ("modelmill/runtime", "modelmill/gateway")


class RuntimeImage(BaseModel):
    """One of them. stands_on_it: names of the images, and of the containers, whoever made them.

    size_bytes: without the layers of the image below.
    """

    model_config = ConfigDict(frozen=True)

    tag: str
    created_at: datetime
    size_bytes: int
    stands_on_it: frozenset[str] = frozenset()

    @property
    def repository(self) -> str:
        """Which of REPOSITORIES."""
        return self.tag.rpartition(":")[0]


def list_runtimes(client: "DockerClient") -> tuple[RuntimeImage, ...]:
    """All that the engine has: they belong to no installation alone."""
    # One that was built from nothing, and of nothing, names no layers.
    images = [
        (image, tuple(image.attrs["RootFS"].get("Layers") or ())) for image in read_images(client)
    ]
    containers = client.containers.list(all=True, ignore_removed=True)
    found = []
    for image, layers in images:
        tags = [tag for tag in image.tags if tag.rpartition(":")[0] in REPOSITORIES]
        if not tags:
            continue
        above = [
            name
            for other, its in images
            if other.id != image.id and its[: len(layers)] == layers
            for name in other.tags or [str(other.id)]
        ]
        above += [str(one.name) for one in containers if one.attrs["Image"] == image.id]
        below = [
            int(other.attrs["Size"])
            for other, its in images
            if len(its) < len(layers) and its == layers[: len(its)]
        ]
        one = RuntimeImage(
            tag=tags[0],
            created_at=datetime.fromisoformat(image.attrs["Created"]),
            size_bytes=int(image.attrs["Size"]) - max(below, default=0),
            stands_on_it=frozenset(above),
        )
        found.append(one)
    return tuple(found)


def choose_old_runtimes(
    runtimes: Iterable[RuntimeImage], going: Collection[str], now: datetime
) -> tuple[RuntimeImage, ...]:
    """Those on which nothing stands once the images `going` are gone.

    Never the newest of its kind, which the next version is built on, nor one of the last day.
    """
    ordered = sorted(runtimes, key=lambda one: one.created_at)
    newest = {one.repository: one.tag for one in ordered}
    return tuple(
        one
        for one in ordered
        if one.tag != newest[one.repository]
        and now - one.created_at >= GRACE
        and one.stands_on_it <= set(going)
    )
