"""The package job: one version in one file that needs no network where it arrives."""

import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.bundle.manifest import MANIFEST_FILE, Manifest
from serving.bundle_files import read_served_files
from serving.containers import MEMORY
from serving.desired import PastVersion
from serving.docker_client import use_docker
from serving.environment import first_port
from serving.gateway import PORT
from serving.image import ensure_model_image, name_image
from serving.job.errors import UserError
from serving.offline.answers import check_target, replace_whole
from serving.offline.archive import (
    Content,
    TarArchive,
    ZipArchive,
    add_checksums,
    hash_content,
    write_archive,
)
from serving.offline.predict_folder import local_path
from serving.offline.spec import CarriedLineage, PackageOutcome, PackageSpec
from serving.offline.wheels import build_own_wheel, choose_wheels, render_requirements
from serving.sandbox import MAX_PROCESSES
from serving.versions import find_version
from serving.wheelhouse import ensure_wheelhouse

KITS = Path(__file__).with_name("kits")
IMAGE_FILE = "image.tar"
LINEAGE_FILE = "lineage.json"
NO_ENGINE = (
    "No Docker engine answers, so no image can be packed: start one, or take --kind sdk, which "
    "needs none."
)


def _render(kind: str, values: dict[str, object]) -> dict[str, Content]:
    loader = FileSystemLoader(KITS / kind)
    # Shell and Markdown, no HTML.
    templates = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    names = [path.name for path in (KITS / kind).iterdir() if path.is_file()]
    return {name: templates.get_template(name).render(values).encode() for name in names}


def _describe(spec: PackageSpec, version: int) -> dict[str, object]:
    """What the kits' texts name."""
    return {
        "deployment": spec.deployment,
        "version": version,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "platform": f"{platform.system()} {platform.machine()}",
        "image": name_image(spec.deployment, version),
        "container": f"modelmill-{spec.deployment}",
        "port": first_port(),
        "inner_port": PORT,
        "memory": MEMORY,
        "processes": MAX_PROCESSES,
    }


@contextmanager
def _collect_sdk(served: dict[str, bytes]) -> Iterator[dict[str, Content]]:
    """Bundle, wheels, requirements."""
    with tempfile.TemporaryDirectory(prefix="modelmill-wheel-") as folder:
        own = build_own_wheel(Path(folder))
        wheels = sorted([own, *choose_wheels(ensure_wheelhouse().iterdir())])
        yield {
            **{f"bundle/{name}": content for name, content in served.items()},
            **{f"wheels/{path.name}": path for path in wheels},
            "requirements.txt": render_requirements(wheels).encode(),
        }


@contextmanager
def _collect_image(
    spec: PackageSpec, found: PastVersion, beside: Path
) -> Iterator[dict[str, Content]]:
    """The model's image, as `docker save` writes it."""
    tag = name_image(spec.deployment, found.version)
    with use_docker() as client:
        if client is None:
            raise UserError(NO_ENGINE)
        ensure_model_image(client, tag, found.bundle_uri, spec.deployment, found.version)
        # Beside the package: an image may be larger than the space for temporary files.
        with tempfile.TemporaryDirectory(prefix=".image-", dir=beside) as folder:
            path = Path(folder) / IMAGE_FILE
            print(f"Saving {tag}", flush=True)
            with path.open("wb") as file:
                for chunk in client.images.get(tag).save(named=tag):
                    file.write(chunk)
            yield {IMAGE_FILE: path}


def package_version(spec: PackageSpec) -> PackageOutcome:
    """Write the file whole, or not at all; raises UserError."""
    target = local_path(spec.target_uri)
    check_target(target, force=spec.force)
    found = find_version(spec.deployment, spec.version)
    served = read_served_files(found.bundle_uri)
    origin = Manifest.model_validate_json(served[MANIFEST_FILE]).lineage.model_dump()
    lineage = CarriedLineage(**origin, deployment=spec.deployment, version=found.version)
    texts = _render(spec.contents, _describe(spec, found.version))
    texts[LINEAGE_FILE] = lineage.model_dump_json(indent=2).encode()
    folder = f"{spec.deployment}-{found.version}-{spec.contents}"
    is_sdk = spec.contents == "sdk"
    collect = _collect_sdk(served) if is_sdk else _collect_image(spec, found, target.parent)
    with replace_whole(target) as part:
        with collect as files:
            print(f"Writing {target.name}", flush=True)
            archive = ZipArchive(part) if is_sdk else TarArchive(part)
            write_archive(archive, folder, add_checksums({**files, **texts}))
        check_target(target, force=spec.force)
    return PackageOutcome(
        deployment=spec.deployment,
        version=found.version,
        contents=spec.contents,
        folder=folder,
        size_bytes=target.stat().st_size,
        sha256=hash_content(target),
        target_uri=target.as_uri(),
    )
