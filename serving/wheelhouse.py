"""The serving image's wheels, downloaded once on the host: the build has no network."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from serving.environment import REPO, home
from serving.job.errors import UserError

LOCK = REPO / "docker" / "locks" / "serve.txt"
TIMEOUT_SECONDS = 900
OPTIONS = ("--quiet", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check")


def _find_pip() -> list[str]:
    """A python that has pip: the launcher's own environment, or this one."""
    for python in (str(home() / "venvs" / "boot" / "bin" / "python"), sys.executable):
        argv = [python, "-m", "pip"]
        if (
            shutil.which(python)
            and not subprocess.run(
                [*argv, "--version"], capture_output=True, check=False
            ).returncode
        ):
            return argv
    raise UserError(
        "No pip to download the serving image's wheels with: run ./modelmill up, which makes "
        f"{home() / 'venvs' / 'boot'}."
    )


def ensure_wheelhouse() -> Path:
    """Folder with every wheel of the lock, checked against its hashes; raises UserError."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    target = home() / "wheelhouse" / f"serve-{digest}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"Downloading the serving image's wheels to {target}", flush=True)
    with tempfile.TemporaryDirectory(prefix=".serve-", dir=target.parent) as folder:
        fresh = Path(folder) / "wheels"
        done = subprocess.run(
            [*_find_pip(), "download", *OPTIONS, "-r", str(LOCK), "-d", str(fresh)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise UserError(
                "The serving image's wheels cannot be downloaded; is the package index in "
                f"reach?\n{done.stderr[-2000:].strip()}"
            )
        if not target.is_dir():
            fresh.rename(target)
    return target
