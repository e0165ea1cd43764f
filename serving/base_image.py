"""The image below all others: python:3.11-slim, or Debian's own Python where it cannot be had."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import requests
from docker.client import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound

from serving.job.errors import UserError
from serving.job.spec import Spec

UPSTREAM = ("python", "3.11-slim")
REPOSITORY = "modelmill/base"
# Our tag → what it is, in words.
PULLED, BUILT = "python-3.11-slim", "debian-bookworm"
PULL_SECONDS = 15
BUILD_SECONDS = 900
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
# mmdebstrap's own way to merge /usr. Without it a package does that, and brings all of Perl.
MERGE_HOOK = Path("/usr/share/mmdebstrap/hooks/merged-usr")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


class BaseImage(Spec):
    """The tag that builds start from, and the id of what it names."""

    tag: str
    image_id: str


def _find(client: DockerClient, tag: str) -> BaseImage | None:
    try:
        image = client.images.get(f"{REPOSITORY}:{tag}")
    except ImageNotFound:
        return None
    return BaseImage(tag=f"{REPOSITORY}:{tag}", image_id=str(image.id))


def _pull(client: DockerClient) -> bool:
    """Fetch the upstream image, unless its registry is silent for PULL_SECONDS."""
    name, tag = UPSTREAM
    usual, client.api.timeout = client.api.timeout, PULL_SECONDS
    try:
        for step in client.api.pull(name, tag=tag, stream=True, decode=True):
            if "error" in step:
                return False
        client.images.get(f"{name}:{tag}").tag(REPOSITORY, PULLED)
    except (APIError, ImageNotFound, DockerException, requests.RequestException):
        return False
    finally:
        client.api.timeout = usual
    return True


def _build(client: DockerClient) -> None:
    """Make a minimal Debian from the machine's own package sources; raises UserError."""
    program = shutil.which("mmdebstrap")
    if program is None:
        raise UserError(
            f"No base image: {':'.join(UPSTREAM)} cannot be pulled, and mmdebstrap is not here "
            "to make one. Install it: apt-get install mmdebstrap."
        )
    sources = [path for path in SOURCES if Path(path).is_file() and SUITE in _read(path)]
    with tempfile.TemporaryDirectory(prefix="modelmill-base-") as folder:
        archive = Path(folder) / "base.tar"
        argv = [program, "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
        if MERGE_HOOK.is_dir():
            argv += [f"--hook-dir={MERGE_HOOK}", "--include=usr-is-merged"]
        argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        done = subprocess.run(
            [*argv, SUITE, str(archive), *sources[:1]],
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise UserError(f"mmdebstrap cannot make a base image:\n{done.stderr[-2000:].strip()}")
        client.api.import_image_from_file(str(archive), repository=REPOSITORY, tag=BUILT)


def _read(path: str) -> str:
    return Path(path).read_text(errors="replace")


def ensure_base(client: DockerClient) -> BaseImage:
    """The base image, made the first time; raises UserError."""
    found = _find(client, PULLED) or _find(client, BUILT)
    if found is not None:
        return found
    if _pull(client):
        print(f"Base image: {':'.join(UPSTREAM)}", flush=True)
    else:
        print(
            f"{':'.join(UPSTREAM)} cannot be pulled: making a base image with mmdebstrap",
            flush=True,
        )
        _build(client)
    made = _find(client, PULLED) or _find(client, BUILT)
    if made is None:
        raise RuntimeError(f"{REPOSITORY} was made and is not there")
    return made
