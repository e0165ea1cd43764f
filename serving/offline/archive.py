"""Files → one archive with a folder in it, and their checksums beside them."""

import hashlib
import io
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

CHECKSUMS = "SHA256SUMS"
# ZIP knows no time before this; the same contents make the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
Content = bytes | Path


def hash_content(content: Content) -> str:
    """SHA-256, in hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_checksums(files: Mapping[str, Content]) -> dict[str, Content]:
    """The same with SHA256SUMS, which `sha256sum --check` reads."""
    lines = [f"{hash_content(content)}  {name}\n" for name, content in sorted(files.items())]
    return {**files, CHECKSUMS: "".join(lines).encode()}


class Archive(ABC):
    """An archive that is being written; programs end in .sh."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def add(self, name: str, content: Content) -> None: ...


class ZipArchive(Archive):
    """.zip"""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._zip = self._stack.enter_context(zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED))

    def add(self, name: str, content: Content) -> None:
        entry = zipfile.ZipInfo(name, _ZIP_TIME)
        # Wheels are compressed already.
        entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
        entry.external_attr = _find_mode(name) << 16
        data = content if isinstance(content, bytes) else content.read_bytes()
        self._zip.writestr(entry, data)


class TarArchive(Archive):
    """.tar.gz"""

    def __init__(self, path: Path) -> None:
        super().__init__()
        opened = tarfile.open(path, "x:gz", compresslevel=4)  # noqa: SIM115 - closed by the stack
        self._tar = self._stack.enter_context(opened)

    def add(self, name: str, content: Content) -> None:
        entry = tarfile.TarInfo(name)
        entry.mode = _find_mode(name)
        with ExitStack() as stack:
            file: BinaryIO
            if isinstance(content, bytes):
                file, entry.size = io.BytesIO(content), len(content)
            else:
                file, entry.size = stack.enter_context(content.open("rb")), content.stat().st_size
            self._tar.addfile(entry, file)


def _find_mode(name: str) -> int:
    return 0o755 if name.endswith(".sh") else 0o644


def write_archive(archive: Archive, folder: str, files: Mapping[str, Content]) -> None:
    """Every file below one folder, in the order of their names."""
    with archive:
        for name, content in sorted(files.items()):
            archive.add(f"{folder}/{name}", content)
