"""What serving images are made of: a runtime without ballast, and one layer a model."""

from pathlib import Path

from docker.client import DockerClient

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
