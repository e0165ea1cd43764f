"""The files of a bundle that a server needs, from wherever the bundle lies."""

import os
import shutil
import tempfile
from pathlib import Path

from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from serving.environment import home
from serving.job import store
from serving.job.errors import UserError

# Paddle's inference files stay where the bundle lies: the server does not read them.
SERVED_FILES = (MANIFEST_FILE, MODEL_FILE)


def read_served_files(bundle_uri: str) -> dict[str, bytes]:
    """Name → content; raises UserError where one is missing or the manifest is unknown."""
    try:
        files = {name: store.read_bytes(store.join(bundle_uri, name)) for name in SERVED_FILES}
    except FileNotFoundError as error:
        raise UserError(
            f"{bundle_uri} is no bundle: {error} is missing. Train again to make one."
        ) from None
    try:
        Manifest.model_validate_json(files[MANIFEST_FILE])
    except ValueError as error:
        raise UserError(f"{bundle_uri} is no bundle that this version serves: {error}") from None
    return files


def fetch_bundle(bundle_uri: str, deployment: str, version: int) -> Path:
    """Local copy below the home folder; fetched once."""
    target = home() / "serve" / deployment / str(version)
    if target.is_dir():
        return target
    files = read_served_files(bundle_uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".fetch-", dir=target.parent))
    try:
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        os.replace(fresh, target)  # noqa: PTH105  (says that it replaces)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.is_dir():
            raise
    return target


def drop_fetched(deployment: str, keep: int | None) -> None:
    """Remove fetched copies of a deployment's other versions."""
    folder = home() / "serve" / deployment
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name != str(keep):
            shutil.rmtree(path, ignore_errors=True)
