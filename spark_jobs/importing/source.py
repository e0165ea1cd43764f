"""A tree of pictures on a disk or on HDFS, walked lazily."""

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

from serving.job.errors import UserError
from serving.job.store import WEBHDFS_VARIABLE

ROOTS_VARIABLE = "MODELMILL_IMPORT_ROOTS"
MAX_BYTES = 100_000_000
Split = Literal["train", "val", "test"]
SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
LAYOUT = (
    "Expected is one sub-folder per class, FOLDER/CLASS/picture.jpg, or the same below train/, "
    "val/ and test/: FOLDER/train/CLASS/picture.jpg. At least two classes are needed."
)


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
    def exists(self) -> bool: ...
    def list(self, path: str) -> list[Entry]: ...
    def read(self, path: str) -> bytes: ...


@dataclass(frozen=True)
class LocalTree:
    """A folder of this machine; links that leave it are refused."""

    root: str

    def exists(self) -> bool:
        return Path(self.root).is_dir()

    def list(self, path: str) -> list[Entry]:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda e: e.name)
        return [Entry(e.name, e.path, self._is_folder(e), self._refusal(e)) for e in entries]

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_dir(follow_symlinks=False)

    def _refusal(self, entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            target = Path(entry.path).resolve()
            if not target.is_relative_to(self.root):
                return "a link that leaves the imported folder"
            if target.is_dir():
                return "a link to a folder, which is not followed"
        return ""

    def read(self, path: str) -> bytes:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise RefusedFileError("not a regular file")
        _check_size(status.st_size)
        return Path(path).read_bytes()


@dataclass(frozen=True)
class HdfsTree:
    """A folder on HDFS, through its REST gateway."""

    root: str
    address: str

    def exists(self) -> bool:
        status = self._client().status(self.root, strict=False)
        return status is not None and status["type"] == "DIRECTORY"

    def list(self, path: str) -> list[Entry]:
        listed = self._client().list(path, status=True)
        return [
            Entry(name, f"{path.rstrip('/')}/{name}", status["type"] == "DIRECTORY")
            for name, status in sorted(listed)
        ]

    def read(self, path: str) -> bytes:
        client = self._client()
        _check_size(int(client.status(path)["length"]))
        with client.read(path) as reader:
            return bytes(reader.read())

    def _client(self) -> Any:
        from hdfs import InsecureClient

        return InsecureClient(self.address, user=os.environ.get("HADOOP_USER_NAME", "modelmill"))


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise RefusedFileError(f"{size:,} bytes, more than {MAX_BYTES:,}")


@dataclass(frozen=True)
class Item:
    """One file of the tree. `name` is its path below the root; `refusal`: why it is not read."""

    name: str
    path: str
    label: str
    split: Split | None
    refusal: str = ""


def open_tree(uri: str) -> Tree:
    """The tree at a URI; UserError where it may not be read or is not there."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        tree: Tree = LocalTree(str(_allowed_folder(Path(unquote(parts.path)))))
    elif parts.scheme == "hdfs":
        address = os.environ.get(WEBHDFS_VARIABLE)
        if not address:
            raise UserError(f"{uri} needs WebHDFS: set {WEBHDFS_VARIABLE} to http://HOST:PORT.")
        tree = HdfsTree(unquote(parts.path), address)
    else:
        raise UserError(
            f"{uri!r} cannot be imported: allowed are file:///PATH and hdfs://HOST:PORT/PATH."
        )
    if not tree.exists():
        raise UserError(f"There is no folder {tree.root}. {LAYOUT}")
    return tree


def _allowed_folder(folder: Path) -> Path:
    roots = [Path(p) for p in os.environ.get(ROOTS_VARIABLE, "").split(":") if p]
    resolved = folder.resolve()
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        allowed = ", ".join(map(str, roots)) or "none"
        raise UserError(
            f"{folder} may not be read: allowed are folders below {allowed}. Move the pictures "
            f"there, or add their folder to {ROOTS_VARIABLE} (joined by ':')."
        )
    return resolved


def _clean(name: str) -> str:
    """NFC; bytes that are no UTF-8 become visible escapes, for no store takes them."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _visible(tree: Tree, path: str) -> list[Entry]:
    return [entry for entry in tree.list(path) if not _is_hidden(entry.name)]


def _splits(tree: Tree, top: list[Entry]) -> dict[str, Split] | None:
    """Folder name → split, where the top folders are splits that hold class folders."""
    names = {entry.name: entry for entry in top if entry.is_folder}
    if not names or not all(name.lower() in SPLITS for name in names):
        return None
    for entry in names.values():
        if not any(inner.is_folder for inner in _visible(tree, entry.path)):
            return None
    return {name: SPLITS[name.lower()] for name in names}


def _files(
    tree: Tree, folder: Entry, prefix: str, label: str, split: Split | None
) -> Iterable[Item]:
    for entry in _visible(tree, folder.path):
        name = f"{prefix}/{_clean(entry.name)}"
        if entry.is_folder:
            yield from _files(tree, entry, name, label, split)
        else:
            yield Item(name, entry.path, label, split, entry.refusal)


def _classes(tree: Tree, entries: list[Entry], prefix: str, split: Split | None) -> Iterator[Item]:
    for entry in entries:
        name = prefix + _clean(entry.name)
        if entry.is_folder:
            yield from _files(tree, entry, name, _clean(entry.name), split)
        else:
            yield Item(name, entry.path, "", split, entry.refusal or "not inside a class folder")


def walk(tree: Tree) -> Iterator[Item]:
    """Every visible file, sorted by folder; train before val before test."""
    top = _visible(tree, tree.root)
    splits = _splits(tree, top)
    if splits is None:
        yield from _classes(tree, top, "", None)
        return
    order = tuple(dict.fromkeys(SPLITS.values()))
    for entry in sorted(top, key=lambda e: order.index(splits[e.name]) if e.is_folder else -1):
        if entry.is_folder:
            inner = _visible(tree, entry.path)
            yield from _classes(tree, inner, _clean(entry.name) + "/", splits[entry.name])
        else:
            yield from _classes(tree, [entry], "", None)


def list_classes(tree: Tree) -> list[str]:
    """Class names, from the folders alone; UserError where there are none."""
    top = _visible(tree, tree.root)
    splits = _splits(tree, top)
    parents = [top] if splits is None else [_visible(tree, e.path) for e in top if e.is_folder]
    found = {_clean(entry.name) for entries in parents for entry in entries if entry.is_folder}
    if not found:
        raise UserError(f"{tree.root} holds no class folders. {LAYOUT}")
    return sorted(found)
