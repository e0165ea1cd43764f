"""A tree of files: listed lazily, read whole, never left."""

import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from serving.job.errors import UserError

ROOTS_VARIABLE = "MODELMILL_IMPORT_ROOTS"
MAX_BYTES = 100_000_000
MISSING = "there is no such file"
CIRCLE = "a link that leads round in a circle"
LEAVES = "a link that leaves the imported folder"


class RefusedFileError(Exception):
    """A file or folder that is not read; the text says why."""


class SourceDownError(Exception):
    """What is imported from does not answer now; the same import, later, goes on."""


@dataclass(frozen=True)
class Entry:
    """One name in a folder; `refusal` says why it must not be followed."""

    name: str
    path: str
    is_folder: bool
    refusal: str = ""


class Tree(Protocol):
    """A file system below one root; can be sent to another process."""

    @property
    def root(self) -> str: ...
    def is_folder(self, path: str) -> bool: ...
    def is_file(self, path: str) -> bool: ...
    def list(self, path: str) -> list[Entry]:
        """Entries of a folder, sorted; raises RefusedFileError."""
        ...

    def locate(self, name: str) -> str:
        """Path of a file that a table names relative to the root; raises RefusedFileError."""
        ...

    def read(self, path: str) -> bytes:
        """Whole content; raises RefusedFileError, and OSError where the disk does."""
        ...


@dataclass(frozen=True)
class LocalTree:
    """A folder of this machine; links that leave it are refused."""

    root: str

    def is_folder(self, path: str) -> bool:
        return Path(path).is_dir()

    def is_file(self, path: str) -> bool:
        return Path(path).is_file()

    def list(self, path: str) -> list[Entry]:
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda e: e.name)
        except OSError as error:
            raise RefusedFileError(explain_failure(error)) from None
        return [
            Entry(e.name, e.path, e.is_dir(follow_symlinks=False), self._refusal(e))
            for e in entries
        ]

    def _refusal(self, entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            try:
                target = Path(entry.path).resolve()
            except RuntimeError:
                return CIRCLE
            if not target.is_relative_to(self.root):
                return LEAVES
            try:
                if target.is_dir():
                    return "a link to a folder, which is not followed"
            except OSError as error:
                return explain_failure(error)
        return ""

    def locate(self, name: str) -> str:
        plain = check_relative(name)
        # Tables and disks do not always agree on how an accent is composed.
        for form in dict.fromkeys((plain, *(unicodedata.normalize(f, plain) for f in _FORMS))):
            path = Path(self.root, form)
            try:
                path.lstat()
            except PermissionError as error:
                raise RefusedFileError(explain_failure(error)) from None
            except OSError:
                continue
            try:
                inside = path.resolve().is_relative_to(self.root)
            except RuntimeError:
                raise RefusedFileError(CIRCLE) from None
            if not inside:
                raise RefusedFileError(LEAVES)
            return str(path)
        raise RefusedFileError(MISSING)

    def read(self, path: str) -> bytes:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise RefusedFileError("not a regular file")
        check_size(status.st_size)
        return Path(path).read_bytes()


_FORMS: tuple[Any, ...] = ("NFC", "NFD")


def explain_failure(error: OSError) -> str:
    """Why a disk does not give a file, for the person who imports."""
    return f"cannot be read: {error.strerror or error}"


def check_size(size: int) -> None:
    """RefusedFileError where a file is too large to be held in memory."""
    if size > MAX_BYTES:
        raise RefusedFileError(f"{size:,} bytes, more than {MAX_BYTES:,}")


def check_relative(name: str) -> str:
    """A table's file name as a path below the table's folder; raises RefusedFileError."""
    # Tables made on Windows.
    plain = name.replace("\\", "/") if "\\" in name and "/" not in name else name
    path = PurePosixPath(plain)
    if path.is_absolute() or plain[1:2] == ":" or "://" in plain:
        raise RefusedFileError("an absolute path; it must be relative to the table's folder")
    if ".." in path.parts:
        raise RefusedFileError("a path with '..', which leaves the table's folder")
    if "\0" in plain:
        raise RefusedFileError("a path with a NUL character")
    return str(path)


def is_hidden(name: str) -> bool:
    """Files that systems leave behind."""
    return name.startswith(".") or name == "__MACOSX"


def check_allowed(path: Path) -> Path:
    """The path without links; UserError unless it lies below one of the import roots."""
    roots = [Path(p) for p in os.environ.get(ROOTS_VARIABLE, "").split(":") if p]
    resolved = path.resolve()
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        allowed = ", ".join(map(str, roots)) or "none"
        raise UserError(
            f"{path} may not be read: allowed are folders below {allowed}. Move the pictures "
            f"there, or add their folder to {ROOTS_VARIABLE} (joined by ':')."
        )
    return resolved
