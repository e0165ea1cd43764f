"""Serving images: a runtime that all models share, and one layer a model. No network needed."""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from docker.client import DockerClient
from docker.errors import BuildError, ImageNotFound
from docker.models.images import Image

from serving.base_image import BaseImage, ensure_base
from serving.bundle.manifest import MANIFEST_FILE, Lineage, Manifest
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint
from serving.bundle_files import read_served_files
from serving.docker_client import home_label
from serving.environment import REPO
from serving.job.spec import Spec
from serving.wheelhouse import LOCK, ensure_wheelhouse

DOCKERFILES = REPO / "docker" / "serve"
BUNDLE_LABEL = "modelmill.bundle"
# Not the containers' label of the home: whoever runs an image by hand would inherit it.
BUILDER_LABEL = "modelmill.builder"
RUNTIME_REPOSITORY = "modelmill/runtime"
# What the server is made of; a test starts it from these files alone.
SERVER_CODE = (
    "__init__.py",
    "app.py",
    "apis",
    "batching.py",
    "body.py",
    "bundle",
    "content_policy.py",
    "cores.py",
    "courtesy.py",
    "door.py",
    "keeping.py",
    "limits.py",
    "middleware.py",
    "pace.py",
    "page.html",
    "patience.py",
    "request_errors.py",
    "request_ids.py",
    "schemas.py",
    "server.py",
    "service.py",
    "telemetry.py",
    "tokens.py",
    "whole_answers.py",
)


class Runtime(Spec):
    """The shared image; base is the tag it stands on."""

    tag: str
    base: str
    built: bool


def list_server_files() -> dict[str, Path]:
    """Path inside the image, relative to the code's folder → file here."""
    package = REPO / "serving"
    files: dict[str, Path] = {}
    for name in SERVER_CODE:
        path = package / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            files[str(file.relative_to(REPO))] = file
    return files


def _hash_runtime(base: BaseImage) -> str:
    digest = hashlib.sha256(base.image_id.encode())
    named = {**list_server_files(), "Dockerfile": DOCKERFILES / "runtime.Dockerfile", "lock": LOCK}
    for name, path in sorted(named.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def build_image(
    client: DockerClient,
    dockerfile: Path,
    tag: str,
    *,
    content: Mapping[str, Path | bytes],
    buildargs: dict[str, str],
    labels: dict[str, str],
    network: str = "none",
) -> Image:
    """Build from a context of named contents; raises RuntimeError with the build's last lines."""
    with tempfile.TemporaryFile() as context:
        _write_context(context, {"Dockerfile": dockerfile, **content})
        context.seek(0)
        try:
            image, _ = client.images.build(
                fileobj=context,
                custom_context=True,
                tag=tag,
                buildargs=buildargs,
                labels=labels,
                network_mode=network,
                rm=True,
                forcerm=True,
            )
        except BuildError as error:
            lines = [str(step.get("stream") or step.get("error") or "") for step in error.build_log]
            raise RuntimeError(f"{tag} cannot be built:\n{''.join(lines)[-3000:]}") from error
    return image


def _write_context(target: IO[bytes], content: Mapping[str, Path | bytes]) -> None:
    with tarfile.open(fileobj=target, mode="w") as archive:
        # Folders, too: the builder would give them the time of the build, and layers that differ.
        parents = {str(p) for name in content for p in PurePosixPath(name).parents} - {"."}
        for folder in sorted(parents):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, 0
            archive.addfile(entry)
        for name, source in content.items():
            data = source if isinstance(source, bytes) else source.read_bytes()
            # Fixed owner, mode and time: the same contents hit the builder's cache.
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 0
            archive.addfile(entry, io.BytesIO(data))


def has_image(client: DockerClient, tag: str) -> bool:
    """Whether the engine has an image of that name."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def ensure_runtime(client: DockerClient) -> Runtime:
    """The runtime image of this code and lock, built the first time; raises UserError."""
    base = ensure_base(client)
    tag = f"{RUNTIME_REPOSITORY}:{_hash_runtime(base)}"
    if has_image(client, tag):
        return Runtime(tag=tag, base=base.tag, built=False)
    wheels = {f"wheels/{path.name}": path for path in sorted(ensure_wheelhouse().iterdir())}
    print(f"Building {tag} on {base.tag}", flush=True)
    build_image(
        client,
        DOCKERFILES / "runtime.Dockerfile",
        tag,
        content={**wheels, "serve.txt": LOCK, **list_server_files()},
        buildargs={"BASE": base.tag},
        labels={"org.opencontainers.image.title": "modelmill runtime"},
    )
    # The builder's first stage: nothing stands on it, and it is as large as the runtime.
    client.images.prune(filters={"dangling": True, "label": "modelmill.stage=build"})
    return Runtime(tag=tag, base=base.tag, built=True)


def _label(deployment: str, version: int, lineage: Lineage) -> dict[str, str]:
    opencontainers = {
        "title": deployment,
        "version": str(version),
        "created": lineage.created_at,
        "revision": lineage.code_version,
    }
    return {
        **{f"org.opencontainers.image.{key}": value for key, value in opencontainers.items()},
        **{
            f"modelmill.lineage.{key}": str(value)
            for key, value in lineage.model_dump(exclude={"created_at", "code_version"}).items()
        },
    }


def _label_point(content: bytes | None) -> dict[str, str]:
    if content is None:
        return {}
    point = OperatingPoint.model_validate_json(content)
    return {"modelmill.lineage.operating_point": point.fingerprint()}


def name_image(deployment: str, version: int) -> str:
    """Tag of a model's image."""
    return f"modelmill/{deployment}:{version}"


def build_model_image(
    client: DockerClient, bundle_uri: str, deployment: str, version: int
) -> tuple[Image, Runtime]:
    """Bake a bundle into an image tagged name_image(…); raises UserError."""
    files = read_served_files(bundle_uri)
    manifest = Manifest.model_validate_json(files[MANIFEST_FILE])
    runtime = ensure_runtime(client)
    image = build_image(
        client,
        DOCKERFILES / "model.Dockerfile",
        name_image(deployment, version),
        content={f"root/bundle/{name}": data for name, data in files.items()},
        buildargs={"RUNTIME": runtime.tag, "DEPLOYMENT": deployment, "VERSION": str(version)},
        labels=_label(deployment, version, manifest.lineage)
        | _label_point(files.get(OPERATING_POINT_FILE))
        | {BUNDLE_LABEL: _hash_origin(bundle_uri), BUILDER_LABEL: home_label()},
    )
    return image, runtime


def ensure_model_image(
    client: DockerClient, tag: str, bundle_uri: str, deployment: str, version: int
) -> str:
    """The tag, naming an image with this very bundle.

    Built again where the engine lost it, or where another installation took its tag.
    """
    try:
        image = client.images.get(tag)
    except ImageNotFound:
        image = None
    if image is None or image.labels.get(BUNDLE_LABEL) != _hash_origin(bundle_uri):
        build_model_image(client, bundle_uri, deployment, version)
    return tag


def _hash_origin(bundle_uri: str) -> str:
    """Names a bundle's place without showing it: images travel further than addresses should."""
    return hashlib.sha256(f"{home_label()}/{bundle_uri}".encode()).hexdigest()[:16]
