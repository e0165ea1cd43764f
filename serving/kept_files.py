"""Files of the folder that containers write to: read as what they are, never followed elsewhere."""

import errno
import os
import stat
from pathlib import Path

# Far above what a model server takes for one request, far below what memory holds.
MOST_BYTES = 256 * 2**20


class NoFileError(Exception):
    """What no model server puts in a file's place; the text names it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a link, no file at all, or larger than any request, which no model server "
            "puts there: it is left alone. Find out who did, and remove it."
        )


def read_kept(path: Path) -> bytes:
    """A plain file's bytes. Raises NoFileError, FileNotFoundError.

    Who breaks into a server may write there, and people see in the review queue what is read here.
    """
    try:
        # A pipe that nobody writes to would be waited for at its opening.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise NoFileError(path) from None
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            raise NoFileError(path)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)
