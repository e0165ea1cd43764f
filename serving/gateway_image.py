"""The gateway's image: HAProxy from Debian's package, on the base of all others."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from docker.client import DockerClient

from serving.base_image import BUILT, BaseImage, ensure_base
from serving.environment import REPO
from serving.image import build_image, has_image
from serving.job.errors import UserError

DOCKERFILE = REPO / "docker" / "gateway" / "Dockerfile"
GATEWAY_REPOSITORY = "modelmill/gateway"
# HAProxy, and what it needs beyond a minimal Debian.
PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
DOWNLOAD_SECONDS = 120


def _download(folder: Path) -> None:
    """Fetch the packages by apt, as this machine is set up; raises UserError."""
    program = shutil.which("apt-get")
    if program is None:
        raise UserError(
            "No gateway image: HAProxy comes as Debian's package, and this machine has no apt-get."
        )
    done = subprocess.run(
        # Not as apt's own user: it cannot write here.
        [program, "-o", "APT::Sandbox::User=root", "download", *PACKAGES],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise UserError(
            f"No gateway image: apt-get cannot download {', '.join(PACKAGES)}. Try apt-get update."
            f"\n{done.stderr[-1000:].strip()}"
        )


def _unpack(folder: Path) -> dict[str, Path | bytes]:
    """Program and libraries of the packages, by their place in the build's context."""
    target = folder / "unpacked"
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(target)], check=True, timeout=60)
    wanted = [target / "usr/sbin/haproxy", *target.glob("usr/lib/**/*.so.*")]
    # A link's name with its target's content: contexts hold plain files.
    return {f"haproxy/{path.relative_to(target)}": path.resolve() for path in wanted}


def _name(base: BaseImage) -> str:
    digest = hashlib.sha256(base.image_id.encode() + DOCKERFILE.read_bytes())
    digest.update(" ".join(PACKAGES).encode())
    return f"{GATEWAY_REPOSITORY}:{digest.hexdigest()[:12]}"


def ensure_gateway_image(client: DockerClient) -> str:
    """Its tag; built the first time. Raises UserError, RuntimeError."""
    base = ensure_base(client)
    tag = _name(base)
    if has_image(client, tag):
        return tag
    print(f"Building {tag} on {base.tag}", flush=True)
    own = base.tag.endswith(BUILT)
    with tempfile.TemporaryDirectory(prefix="modelmill-gateway-") as name:
        folder = Path(name)
        if own:
            _download(folder)
        build_image(
            client,
            DOCKERFILE,
            tag,
            # A folder that is copied must not be empty.
            content={"haproxy/README": b"", **(_unpack(folder) if own else {})},
            buildargs={"BASE": base.tag},
            labels={"org.opencontainers.image.title": "modelmill gateway"},
            network="none" if own else "default",
        )
    return tag
