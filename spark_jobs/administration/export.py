"""The export job: pictures as they came, in folders that an import reads again."""

import errno
import hashlib
import os
import stat
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from serving.job.errors import UserError
from serving.job.progress import Progress
from spark_jobs.administration.labels_table import choose_splits, make_table
from spark_jobs.administration.paths import LABELS_NAME, Exported, plan_paths
from spark_jobs.administration.raw import locate_samples, read_contents
from spark_jobs.administration.spec import ExportOutcome, ExportSpec, Unexported
from spark_jobs.database import connect
from spark_jobs.snapshots import read_labels

GONE = "its bytes are not in the raw segments any more"
PURGED = "it was purged"
DAMAGED = "its bytes are not those that were imported: the segment is damaged"
# No name begins with a dot, so none is this one.
PARTIAL = ".partial"
# A part is there for as long as it takes to write one picture.
OLD_S = 3600
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


class Folder:
    """The folder that is written to: nothing outside it, and no file that stands there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        # Others may be writing into the same folder.
        self._partial = root / f"{PARTIAL}-{uuid.uuid4().hex}"
        for left in root.glob(f"{PARTIAL}*"):
            if time.time() - left.lstat().st_mtime > OLD_S:
                left.unlink(missing_ok=True)

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
        """Write a file whole, or not at all; UserError where another was put there meanwhile."""
        folder = self._root
        for part in parts[:-1]:
            folder /= part
            # A link would lead what is written out of the folder.
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise UserError(f"{folder} is in the way: it is no folder. Name an empty folder.")
            folder.mkdir(exist_ok=True)
        try:
            with self._partial.open("xb") as file:
                file.write(content)
            _place(self._partial, folder / parts[-1], content)
        except FileExistsError:
            self.holds(parts, hashlib.sha256(content).hexdigest())
        finally:
            self._partial.unlink(missing_ok=True)


def _place(partial: Path, target: Path, content: bytes) -> None:
    """Give it its name; FileExistsError where that is taken, which a rename would not say."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Memory sticks and some shares know no links: killed here, it leaves half a file.
        with target.open("xb") as file:
            file.write(content)


def list_wanted(database: Any, spec: ExportSpec) -> list[Exported]:
    """The snapshot's rows, or the active samples."""
    if spec.snapshot_id:
        columns = ["sha256", "label", "name", "side", "group"]
        rows = read_labels(spec.snapshots_uri, spec.snapshot_id).select(columns).to_pylist()
        return [Exported(**row, split=row["side"]) for row in rows]
    active = {"dataset": spec.dataset, "state": "active"}
    shape = {"_id": 0, **dict.fromkeys(("sha256", "label", "name", "side", "split", "group"), 1)}
    rows = list(database["samples"].find(active, shape))
    if not rows:
        raise UserError(f"Dataset {spec.dataset!r} has no active sample: nothing to export.")
    return [
        Exported(row["sha256"], row["label"], row["name"], split=split, group=row.get("group"))
        for row, split in zip(rows, choose_splits(rows), strict=True)
    ]


def export_samples(spec: ExportSpec) -> ExportOutcome:
    """Write what is not there yet; an export that was broken off goes on where it ended."""
    with connect() as database:
        samples = {one.sha256: one for one in list_wanted(database, spec)}
        places = locate_samples(database, spec.dataset, samples.keys())
    for label in sorted({one.label for one in samples.values()}):
        if label != label.strip():
            print(f"An import will call the class {label!r} {label.strip()!r}", flush=True)
    paths = plan_paths(list(samples.values()))
    folder = Folder(Path(unquote(urlsplit(spec.target_uri).path)))
    progress = Progress(f"export {spec.dataset}", len(samples))
    table = make_table(samples.values(), paths)
    listed = folder.holds((LABELS_NAME,), hashlib.sha256(table).hexdigest())
    there = _find_there(folder, paths, progress)
    if not listed:
        # Before the pictures: an import of half an export then tells which ones are missing.
        folder.write((LABELS_NAME,), table)
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
