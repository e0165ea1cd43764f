"""What killed jobs and commands left, and what `up` wrote down; all by age alone."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pipelines.artifacts import RUN_ID, Artifacts
from serving.job import store

# Anything younger may still be at work.
GRACE = timedelta(days=1)
Kind = Literal["partial", "prepared"]


def find_leftovers(artifacts: Artifacts, now: datetime, *, idle: bool) -> Mapping[Kind, list[str]]:
    """URIs by kind; idle: no run goes on, which may be days at work in a temporary folder."""
    folders = [artifacts.raw(dataset) for dataset in store.list_names(f"{artifacts.root}/raw")]
    partial = [uri for one in folders for uri in _list_old(one, now) if uri.endswith(".part")]
    if idle:
        for root in (artifacts.snapshots, artifacts.features, artifacts.facts, artifacts.pairs):
            partial += _list_old(store.join(root, ".tmp"), now)
    return {
        "partial": partial,
        "prepared": _list_old(f"{artifacts.root}/prepared", now),
    }


def _list_old(uri: str, now: datetime) -> list[str]:
    times = store.list_times(uri)
    return [store.join(uri, name) for name, at in sorted(times.items()) if now - at >= GRACE]


def find_scratch(scratch: Path, kept: Collection[str] | None, now: datetime) -> list[str]:
    """Local folders of runs that do not stay, and what a killed command or Spark left.

    kept: ids of the runs that stay; None: all do.
    """
    found = [path for path in scratch.glob("*") if RUN_ID.fullmatch(path.name)]
    old = [path for path in found if kept is not None and path.name not in kept]
    old += [*scratch.glob("commands/*"), *scratch.glob("spark/*")]
    return [path.as_uri() for path in sorted(old) if _is_old(path, now)]


def _is_old(path: Path, now: datetime) -> bool:
    return now - datetime.fromtimestamp(path.lstat().st_mtime, UTC) >= GRACE
