"""The files of a bundle that a server needs, from wherever the bundle lies."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint
from serving.environment import home
from serving.job import store
from serving.job.errors import UserError

# Paddle's inference files stay where the bundle lies: the server does not read them.
SERVED_FILES = (MANIFEST_FILE, MODEL_FILE)
# What a bundle may have beside them.
OPTIONAL_FILES = (OPERATING_POINT_FILE,)


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
    for name in OPTIONAL_FILES:
        with suppress(FileNotFoundError):
            files[name] = store.read_bytes(store.join(bundle_uri, name))
    return files


def add_operating_point(bundle_uri: str, point_uri: str) -> None:
    """Put an evaluation's operating point into its bundle, for good: a version answers alike ever.

    An earlier one stays, for servers may have it already; where it differs, that is said.
    """
    wanted = store.read_model(point_uri, OperatingPoint)
    uri = store.join(bundle_uri, OPERATING_POINT_FILE)
    try:
        there = store.read_model(uri, OperatingPoint)
    except (FileNotFoundError, ValueError):  # none yet, or one that a crash has cut short
        store.write_model(uri, wanted)
        return
    if not there.decides_as(wanted):
        print(
            f"The bundle keeps the operating point that run {there.run_id} chose, its classes' "
            f"thresholds, too: it declines below {there.decline_below:.4f}; this run would below "
            f"{wanted.decline_below:.4f}.",
            flush=True,
        )


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
