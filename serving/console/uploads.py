"""Pictures that a browser sends, in a folder that an import reads: <class>/<file>.

Names and archives come from strangers. Nothing is written outside the folder, whatever a name says;
what an archive unpacks to is counted while it is unpacked, not believed from its own table.
"""

import hashlib
import lzma
import secrets
import shutil
import time
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from serving.bundle.codec import BadImageError, inspect
from serving.job.errors import UserError

MAX_FILE_BYTES = 100_000_000
MAX_BYTES = 4_000_000_000
MAX_FILES = 50_000
MAX_NAME_BYTES = 150
# How many refused names a page is told.
SHOWN = 50
FOLDER = "uploads"
OLD_S = 24 * 3600
SPLITS = frozenset({"train", "val", "valid", "validation", "test"})
# What zipfile raises where an entry is encrypted, damaged, or packed by a method it does not know.
BROKEN = (
    RuntimeError,
    OSError,
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


class TooMuchError(UserError):
    """More bytes or files than one upload may have."""


def clean_part(text: str) -> str:
    """A folder's or file's name as it is written; UserError where it cannot be one."""
    name = unicodedata.normalize("NFC", text).strip()
    odd = any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name)
    if not name or name.startswith(".") or odd or set(name) & set("/\\"):
        raise UserError(
            f"{text[:80]!r} cannot be a name here: it is empty, begins with a dot, or holds a "
            "slash or a control character."
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise UserError(f"{text[:80]!r}… is too long: a name has at most {MAX_NAME_BYTES} bytes.")
    return name


class Upload:
    """One upload: what was sent so far. Several requests may add to it at once."""

    def __init__(self, root: Path) -> None:
        self.id = secrets.token_hex(8)
        self.folder = root / FOLDER / self.id
        self.folder.mkdir(parents=True)
        self.classes: Counter[str] = Counter()
        self.refused: list[tuple[str, str]] = []
        self.refusals = 0
        self.run = ""
        self._bytes = self._files = self._unpacked = 0
        self._lock = Lock()

    def remove(self) -> None:
        """The folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def refuse(self, name: str, reason: str) -> None:
        """Note a file that is left out."""
        self.refusals += 1
        if len(self.refused) < SHOWN:
            self.refused.append((name[:200], reason))

    def add(self, parts: tuple[str, ...], content: bytes) -> None:
        """Write a picture; a file that is none is listed. parts: folders, and the file's name.

        Raises TooMuchError.
        """
        shown = "/".join(parts)
        try:
            names = tuple(clean_part(part) for part in parts)
            if len(names) < 2:
                raise UserError("it is not inside a class's folder")
            inspect(content)
        except (UserError, BadImageError) as error:
            self.refuse(shown, str(error))
            return
        with self._lock:
            self._count(len(content))
            try:
                self._write(names, content)
            except (FileExistsError, NotADirectoryError):
                self.refuse(shown, "a file is called as its folder is")
                return
            self.classes["/".join(names[:-1])] += 1

    def _count(self, size: int) -> None:
        self._bytes, self._files = self._bytes + size, self._files + 1
        if self._bytes > MAX_BYTES or self._files > MAX_FILES:
            raise TooMuchError(
                f"One upload has at most {MAX_FILES:,} pictures and {MAX_BYTES // 10**9} GB: "
                "import these, and send the rest as a second one; or use ./modelmill import."
            )

    def _write(self, names: tuple[str, ...], content: bytes) -> None:
        path = self.folder.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            digest = hashlib.sha256(content).hexdigest()[:12]
            path = path.with_name(f"{digest}-{path.name}")
        # The same file once more writes the same bytes.
        path.write_bytes(content)

    def add_archive(self, file: BinaryIO) -> None:
        """Every picture of a zip file; raises UserError where it is none, TooMuchError."""
        try:
            with zipfile.ZipFile(file) as archive:
                self._unpack(archive)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError) as error:
            raise UserError(f"This is no zip file that can be read: {error}.") from None

    def _unpack(self, archive: zipfile.ZipFile) -> None:
        entries = [one for one in archive.infolist() if not one.is_dir()]
        if len(entries) > 2 * MAX_FILES:
            raise TooMuchError(
                f"The archive has {len(entries):,} files; allowed are {MAX_FILES:,}."
            )
        found: list[tuple[zipfile.ZipInfo, tuple[str, ...]]] = []
        for entry in entries:
            parts = tuple(entry.filename.replace("\\", "/").split("/"))
            if any(part.lower() in JUNK or part.startswith("._") for part in parts):
                continue
            if "" in parts or ".." in parts or ":" in parts[0]:
                self.refuse(entry.filename, "its path leads out of the archive")
            else:
                found.append((entry, parts))
        for entry, parts in strip_common(found):
            content = self._read(archive, entry)
            if content is not None:
                self.add(parts, content)

    def _read(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | None:
        try:
            with archive.open(entry) as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except BROKEN as error:
            self.refuse(entry.filename, f"it cannot be unpacked: {error}")
            return None
        # What is no picture counts, too: time is all that some archives want.
        self._unpacked += len(content)
        if self._unpacked > MAX_BYTES:
            raise TooMuchError(
                f"The archive unpacks to more than {MAX_BYTES // 10**9} GB: send it in parts, or "
                "use ./modelmill import."
            )
        if len(content) > MAX_FILE_BYTES:
            self.refuse(entry.filename, f"it is larger than {MAX_FILE_BYTES // 10**6} MB")
            return None
        return content


def sweep(root: Path, known: Collection[str]) -> None:
    """Remove what a console that has ended since left behind, after a day."""
    for folder in (root / FOLDER).glob("*"):
        if folder.name not in known and time.time() - folder.lstat().st_mtime > OLD_S:
            shutil.rmtree(folder, ignore_errors=True)


def strip_common(
    found: list[tuple[zipfile.ZipInfo, tuple[str, ...]]],
) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """Without the one folder around all classes that most programs pack, too."""
    firsts = {parts[0] for _, parts in found}
    around = len(firsts) == 1 and all(len(parts) > 2 for _, parts in found)
    if not around or next(iter(firsts)).lower() in SPLITS:
        return found
    return [(entry, parts[1:]) for entry, parts in found]
