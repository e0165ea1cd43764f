"""What serving images are made of: a runtime without ballast, and one layer a model."""

import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from serving import base_image
from serving.image import build_model_image, ensure_runtime, name_image


def test_same_bundle_is_the_same_layer(
    docker_client: DockerClient, deployment: str, bundle: Path
) -> None:
    """Under two names: the second build cannot take the first one's layer from its cache."""
    other = f"{deployment}-b"
    try:
        one, runtime = build_model_image(docker_client, bundle.as_uri(), deployment, 1)
        two, _ = build_model_image(docker_client, bundle.as_uri(), other, 2)
        layers = [image.attrs["RootFS"]["Layers"] for image in (one, two)]
        below = docker_client.images.get(runtime.tag).attrs["RootFS"]["Layers"]
        assert one.id != two.id
        assert layers[0] == layers[1]
        # All of the runtime's, and one more.
        assert layers[0][:-1] == below
    finally:
        docker_client.images.remove(name_image(other, 2), force=True)


def test_runtime_carries_what_the_server_loads(docker_client: DockerClient) -> None:
    runtime = ensure_runtime(docker_client)
    images = [docker_client.images.get(tag) for tag in (runtime.tag, runtime.base)]
    whole, base = (image.attrs["Size"] for image in images)
    assert (whole - base) / 1e6 < 145


@pytest.mark.integration
def test_own_base_is_lean(docker_client: DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs on it; the whole of Perl, which nothing here needs, is not there."""
    if shutil.which("mmdebstrap") is None or not base_image.MERGE_HOOK.is_dir():
        pytest.skip("mmdebstrap, 1.2 or later, is not here")
    repository = f"modelmill-test/{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(base_image, "REPOSITORY", repository)
    base_image._build(docker_client)
    tag = f"{repository}:{base_image.BUILT}"
    try:
        assert docker_client.images.get(tag).attrs["Size"] / 1e6 < 140
        look = "import pathlib, ssl; print(pathlib.Path('/usr/share/perl').exists())"
        options: dict[str, Any] = {"entrypoint": ["python3"], "network_mode": "none"}
        said = docker_client.containers.run(tag, ["-c", look], remove=True, **options)
        assert said == b"False\n"
    finally:
        docker_client.images.remove(tag, force=True)
