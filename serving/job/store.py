"""Bytes at a URI: hdfs:// through WebHDFS, file:// through the file system."""

import logging
import os
import posixpath
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from serving.job.errors import UserError
from serving.job.webhdfs import open_client

WEBHDFS_VARIABLE = "MODELMILL_WEBHDFS_URI"
ModelT = TypeVar("ModelT", bound=BaseModel)


class Store(Protocol):
    """One file system, addressed by absolute paths with forward slashes."""

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes: ...
    def write(self, path: str, content: bytes, *, overwrite: bool) -> None: ...
    def exists(self, path: str) -> bool: ...
    def list(self, path: str) -> list[str]: ...
    def list_times(self, path: str) -> dict[str, datetime]: ...
    def make_folder(self, path: str) -> None: ...
    def rename(self, source: str, target: str) -> bool: ...
    def delete(self, path: str) -> None: ...
    def measure(self, path: str) -> int: ...


class LocalStore:
    """The machine's own file system."""

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def write(self, path: str, content: bytes, *, overwrite: bool) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("wb" if overwrite else "xb") as file:
            file.write(content)

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def list(self, path: str) -> list[str]:
        folder = Path(path)
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def list_times(self, path: str) -> dict[str, datetime]:
        times = {name: Path(path, name).lstat().st_mtime for name in self.list(path)}
        return {name: datetime.fromtimestamp(at, UTC) for name, at in times.items()}

    def make_folder(self, path: str) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)

    def rename(self, source: str, target: str) -> bool:
        if not Path(source).exists() or Path(target).exists():
            return False
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(source).rename(target)
        return True

    def delete(self, path: str) -> None:
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)

    def measure(self, path: str) -> int:
        folder = Path(path)
        if not folder.is_dir():
            return folder.lstat().st_size if folder.exists() else 0
        return sum(one.lstat().st_size for one in folder.rglob("*") if one.is_file())


class HdfsStore:
    """HDFS through its REST gateway."""

    def __init__(self, address: str) -> None:
        # It reports every call.
        logging.getLogger("hdfs").setLevel(logging.WARNING)
        self._client = open_client(address)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        from hdfs import HdfsError

        try:
            with self._client.read(path, offset=offset, length=length) as reader:
                return bytes(reader.read())
        except HdfsError as error:
            if not self.exists(path):
                raise FileNotFoundError(path) from error
            raise

    def write(self, path: str, content: bytes, *, overwrite: bool) -> None:
        from hdfs import HdfsError

        try:
            self._client.write(path, data=content, overwrite=overwrite)
        except HdfsError as error:
            if not overwrite and error.exception == "FileAlreadyExistsException":
                raise FileExistsError(path) from error
            # Somebody deleted the file between its creation and its last byte.
            if error.exception in ("FileNotFoundException", "LeaseExpiredException"):
                raise FileNotFoundError(path) from error
            raise

    def exists(self, path: str) -> bool:
        from hdfs import HdfsError

        # Not strict=False: for that any refusal means that there is no such file.
        try:
            self._client.status(path)
        except HdfsError as error:
            if error.exception == "FileNotFoundException":
                return False
            raise
        return True

    def list(self, path: str) -> list[str]:
        if not self.exists(path):
            return []
        return sorted(str(name) for name in self._client.list(path))

    def list_times(self, path: str) -> dict[str, datetime]:
        if not self.exists(path):
            return {}
        return {
            str(name): datetime.fromtimestamp(status["modificationTime"] / 1000, UTC)
            for name, status in self._client.list(path, status=True)
        }

    def make_folder(self, path: str) -> None:
        self._client.makedirs(path)

    def rename(self, source: str, target: str) -> bool:
        from hdfs import HdfsError

        # A rename onto an existing folder would nest the source inside it.
        if self.exists(target):
            return False
        self._client.makedirs(posixpath.dirname(target))
        try:
            self._client.rename(source, target)
        except HdfsError:
            return False
        return True

    def delete(self, path: str) -> None:
        self._client.delete(path, recursive=True)

    def measure(self, path: str) -> int:
        return int(self._client.content(path)["length"]) if self.exists(path) else 0


def open_store(uri: str) -> tuple[Store, str]:
    """Return the store that holds a URI, and the path inside it."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return LocalStore(), unquote(parts.path)
    if parts.scheme == "hdfs":
        address = os.environ.get(WEBHDFS_VARIABLE)
        if not address:
            raise UserError(f"{uri} needs WebHDFS: set {WEBHDFS_VARIABLE} to http://HOST:PORT.")
        return HdfsStore(address), parts.path
    raise UserError(
        f"{uri!r} is not a location: allowed are hdfs://HOST:PORT/PATH and file:///PATH."
    )


def read_bytes(uri: str) -> bytes:
    """Whole content of a file; FileNotFoundError where there is none."""
    store, path = open_store(uri)
    return store.read(path)


def read_range(uri: str, offset: int, length: int) -> bytes:
    """`length` bytes from `offset` on; fewer at the end. FileNotFoundError where there is none."""
    store, path = open_store(uri)
    return store.read(path, offset, length) if length else b""


def write_bytes(uri: str, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file and the folders above it.

    FileExistsError unless overwrite; FileNotFoundError if another process deleted it meanwhile.
    """
    store, path = open_store(uri)
    store.write(path, content, overwrite=overwrite)


def exists(uri: str) -> bool:
    """True where a file or folder is there."""
    store, path = open_store(uri)
    return store.exists(path)


def list_names(uri: str) -> list[str]:
    """Sorted names in a folder; empty where it is missing."""
    store, path = open_store(uri)
    return store.list(path)


def list_times(uri: str) -> dict[str, datetime]:
    """Name in a folder → when it was last modified; empty where the folder is missing."""
    store, path = open_store(uri)
    return store.list_times(path)


def make_folder(uri: str) -> None:
    """Make a folder and those above it."""
    store, path = open_store(uri)
    store.make_folder(path)


def rename(source_uri: str, target_uri: str) -> bool:
    """Move a file or folder; False if the source is gone or the target is there."""
    store, source = open_store(source_uri)
    _, target = open_store(target_uri)
    return store.rename(source, target)


def delete(uri: str) -> None:
    """Remove a file or a whole folder; nothing happens where it is missing."""
    store, path = open_store(uri)
    store.delete(path)


def measure(uri: str) -> int:
    """Bytes of a file, or of all that is in a folder; 0 where it is missing."""
    store, path = open_store(uri)
    return store.measure(path)


def read_model(uri: str, model: type[ModelT]) -> ModelT:
    """Read one JSON document and validate it."""
    return model.model_validate_json(read_bytes(uri))


def write_model(uri: str, value: BaseModel, *, overwrite: bool = True) -> None:
    """Write one model as JSON."""
    write_bytes(uri, value.model_dump_json(indent=2).encode(), overwrite=overwrite)


def join(uri: str, *names: str) -> str:
    """Append path segments to a URI."""
    return "/".join([uri.rstrip("/"), *names])
