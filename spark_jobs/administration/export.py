"""The export job: pictures as they came, in folders that an import reads again."""

import hashlib
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from serving.job.errors import UserError
from spark_jobs.administration.paths import Exported, plan_paths
from spark_jobs.administration.raw import locate_samples, read_contents
from spark_jobs.administration.spec import ExportOutcome, ExportSpec, Unexported
from spark_jobs.database import connect
from spark_jobs.progress import Progress
from spark_jobs.snapshots import read_labels

GONE = "its bytes are not in the raw segments any more"
PURGED = "it was purged"
DAMAGED = "its bytes are not those that were imported: the segment is damaged"


class Folder:
    """The folder that is written to: nothing outside it, and no file that stands there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        # No name begins with a dot, so none is this one; a killed export may have left it.
        self._partial = root / ".partial"
        self._partial.unlink(missing_ok=True)

    def holds(self, parts: tuple[str, ...], sha256: str) -> bool:
        """True where this very file lies there; UserError where another does."""
        path = self._root.joinpath(*parts)
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return True
        raise UserError(
            f"{path} is there and is not what would be written; nothing is overwritten. Name an "
            "empty folder, or the one that an export of the same samples began."
        )

    def write(self, parts: tuple[str, ...], content: bytes) -> None:
        """Write a file whole, or not at all."""
        folder = self._root
        for part in parts[:-1]:
            folder /= part
            # A link would lead what is written out of the folder.
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise UserError(f"{folder} is in the way: it is no folder. Name an empty folder.")
            folder.mkdir(exist_ok=True)
        with self._partial.open("xb") as file:
            file.write(content)
        self._partial.rename(folder / parts[-1])


def list_wanted(database: Any, spec: ExportSpec) -> list[Exported]:
    """The snapshot's rows, or the active samples."""
    if spec.snapshot_id:
        columns = ["sha256", "label", "name", "side"]
        rows = read_labels(spec.snapshots_uri, spec.snapshot_id).select(columns).to_pylist()
    else:
        active = {"dataset": spec.dataset, "state": "active"}
        shape = {"_id": 0, "sha256": 1, "label": 1, "name": 1}
        rows = list(database["samples"].find(active, shape))
    if not rows:
        raise UserError(f"Dataset {spec.dataset!r} has no active sample: nothing to export.")
    return [Exported(**row) for row in rows]


def export_samples(spec: ExportSpec) -> ExportOutcome:
    """Write what is not there yet; an export that was broken off goes on where it ended."""
    with connect() as database:
        samples = {one.sha256: one for one in list_wanted(database, spec)}
        places = locate_samples(database, spec.dataset, samples.keys())
    paths = plan_paths(list(samples.values()))
    folder = Folder(Path(unquote(urlsplit(spec.target_uri).path)))
    progress = Progress(f"export {spec.dataset}", len(samples))
    there = _find_there(folder, paths, progress)
    waiting = {sha: place for sha, place in places.items() if sha not in there}
    damaged, written = set(), set()
    for sha256, content in read_contents(spec.raw_uri, waiting):
        if hashlib.sha256(content).hexdigest() != sha256:
            damaged.add(sha256)
            continue
        # A segment may hold a sample twice.
        if sha256 not in written:
            folder.write(paths[sha256], content)
            written.add(sha256)
            progress.advance()
    progress.close()
    missing = tuple(
        Unexported(
            sha256=sha256,
            name=samples[sha256].name,
            reason=DAMAGED if sha256 in damaged else GONE if places.get(sha256) else PURGED,
        )
        for sha256 in sorted(samples.keys() - there - written, key=lambda sha: samples[sha].name)
    )
    return ExportOutcome(
        samples=len(samples), written=len(written), already_there=len(there), missing=missing
    )


def _find_there(folder: Folder, paths: dict[str, tuple[str, ...]], progress: Progress) -> set[str]:
    """Everything is looked at before anything is written."""
    there = {sha256 for sha256, parts in paths.items() if folder.holds(parts, sha256)}
    progress.advance(len(there))
    return there
