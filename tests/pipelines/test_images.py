"""Model images in a real engine: ours are found, others' and those in use are left alone."""

import io
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.context import read_installation
from pipelines.images import BUILDER_LABEL, SNAPSHOT_LABEL, list_images, remove_image, use_engine

HOME = "test-home"


@pytest.fixture
def built(engine: Any) -> Iterator[tuple[str, str]]:
    """A snapshot's id, and the tag of an empty image that was trained on it."""
    snapshot, tag = uuid.uuid4().hex[:20], f"modelmill/test-{uuid.uuid4().hex[:8]}:7"
    labels = f"{SNAPSHOT_LABEL}={snapshot} {BUILDER_LABEL}={HOME}"
    dockerfile = f'FROM scratch\nCOPY x /x\nCMD ["/x"]\nLABEL {labels}\n'
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in (("Dockerfile", dockerfile.encode()), ("x", b"x")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
    yield snapshot, tag
    remove_image(engine, tag)


def test_only_our_images_are_listed(engine: Any, built: tuple[str, str]) -> None:
    snapshot, tag = built
    assert list_images(engine, HOME, {"0" * 20}) == ()
    assert list_images(engine, "another-home", {snapshot}) == ()
    (image,) = list_images(engine, HOME, {snapshot})
    assert (image.tag, image.version) == (tag, 7)
    assert image.size_bytes >= 1
    assert remove_image(engine, tag) == ""
    assert list_images(engine, HOME, {snapshot}) == ()
    assert remove_image(engine, tag) == ""


def test_an_image_in_use_is_left_alone(engine: Any, built: tuple[str, str]) -> None:
    snapshot, tag = built
    container = engine.containers.create(tag)
    try:
        assert "container" in remove_image(engine, tag)
        assert list_images(engine, HOME, {snapshot})
    finally:
        container.remove()


def test_without_an_engine(tmp_path: Path) -> None:
    installation = read_installation(
        {"MODELMILL_HOME": str(tmp_path), "MODELMILL_DOCKER_HOST": "none"}
    )
    with use_engine(installation) as client:
        assert client is None
