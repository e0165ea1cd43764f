"""Files of the folder that containers write to: read as what they are, never followed elsewhere."""

import errno
import os
import stat
from pathlib import Path


class NoFileError(Exception):
    """A link, a pipe or a folder in a file's place; the text names it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a link, or no file at all, which no model server puts there: it is left "
            "alone. Find out who did, and remove it."
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
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NoFileError(path)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)
