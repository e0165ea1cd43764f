"""A tree of files on a disk or on HDFS: listed lazily, read whole, never left."""

import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from serving.job.errors import UserError
from serving.job.store import WEBHDFS_VARIABLE

ROOTS_VARIABLE = "MODELMILL_IMPORT_ROOTS"
MAX_BYTES = 100_000_000
MISSING = "there is no such file"
CIRCLE = "a link that leads round in a circle"
LEAVES = "a link that leaves the imported folder"


class RefusedFileError(Exception):
    """A file that is not read; the text says why."""


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
    def list(self, path: str) -> list[Entry]: ...
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
            raise UserError(f"The folder {path} cannot be read: {error.strerror}.") from None
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
            if target.is_dir():
                return "a link to a folder, which is not followed"
        return ""

    def locate(self, name: str) -> str:
        plain = check_relative(name)
        # Tables and disks do not always agree on how an accent is composed.
        for form in dict.fromkeys((plain, *(unicodedata.normalize(f, plain) for f in _FORMS))):
            path = Path(self.root, form)
            if os.path.lexists(path):
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


@dataclass(frozen=True)
class HdfsTree:
    """A folder on HDFS, through its REST gateway."""

    root: str
    address: str

    def is_folder(self, path: str) -> bool:
        return self._type(path) == "DIRECTORY"

    def is_file(self, path: str) -> bool:
        return self._type(path) == "FILE"

    def _type(self, path: str) -> str:
        status = self._client().status(path, strict=False)
        return "" if status is None else str(status["type"])

    def list(self, path: str) -> list[Entry]:
        listed = self._client().list(path, status=True)
        return [
            Entry(name, f"{path.rstrip('/')}/{name}", status["type"] == "DIRECTORY")
            for name, status in sorted(listed)
        ]

    def locate(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{check_relative(name)}"

    def read(self, path: str) -> bytes:
        client = self._client()
        status = client.status(path, strict=False)
        if status is None:
            raise RefusedFileError(MISSING)
        if status["type"] != "FILE":
            raise RefusedFileError("not a regular file")
        check_size(int(status["length"]))
        with client.read(path) as reader:
            return bytes(reader.read())

    def _client(self) -> Any:
        from hdfs import InsecureClient

        return InsecureClient(self.address, user=os.environ.get("HADOOP_USER_NAME", "modelmill"))


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


def open_tree(uri: str) -> tuple[Tree, str]:
    """The tree at a URI, and the name of the one file meant; empty for the whole folder.

    UserError where it may not be read or is not there.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        path = str(check_allowed(Path(unquote(parts.path))))
        whole: Tree = LocalTree(path)
        parent: Tree = LocalTree(str(Path(path).parent))
    elif parts.scheme == "hdfs":
        address = os.environ.get(WEBHDFS_VARIABLE)
        if not address:
            raise UserError(f"{uri} needs WebHDFS: set {WEBHDFS_VARIABLE} to http://HOST:PORT.")
        path = unquote(parts.path).rstrip("/") or "/"
        whole = HdfsTree(path, address)
        parent = HdfsTree(str(PurePosixPath(path).parent), address)
    else:
        raise UserError(
            f"{uri!r} cannot be imported: allowed are file:///PATH and hdfs://HOST:PORT/PATH."
        )
    if whole.is_folder(path):
        return whole, ""
    if whole.is_file(path):
        return parent, PurePosixPath(path).name
    raise UserError(f"There is no folder and no file {path}.")


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
