"""A tree of files on HDFS; what is wrong with one path is told apart from an outage."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from serving.job.webhdfs import open_client
from spark_jobs.importing.source import (
    MISSING,
    Entry,
    RefusedFileError,
    SourceDownError,
    check_relative,
    check_size,
)

T = TypeVar("T")
# What HDFS answers where the path is to blame. Any other answer may be true of every path.
OWN_TROUBLE = {
    "FileNotFoundException": MISSING,
    "AccessControlException": "",
    "InvalidPathException": "",
    "IllegalArgumentException": "",
    "ParentNotDirectoryException": "",
}
# A dead DataNode breaks off like a damaged block does; asked again, only the block does so.
TRIES = 3
PAUSE_S = 0.5
TIMEOUT_S = 60


@dataclass(frozen=True)
class HdfsTree:
    """A folder on HDFS, through its REST gateway. Any call may raise SourceDownError."""

    root: str
    address: str

    def is_folder(self, path: str) -> bool:
        return self._type(path) == "DIRECTORY"

    def is_file(self, path: str) -> bool:
        return self._type(path) == "FILE"

    def _type(self, path: str) -> str:
        try:
            return str(self._ask(lambda client: client.status(path))["type"])
        except RefusedFileError as error:
            if str(error) == MISSING:
                return ""
            raise

    def list(self, path: str) -> list[Entry]:
        listed = self._ask(lambda client: client.list(path, status=True))
        return [
            Entry(name, f"{path.rstrip('/')}/{name}", status["type"] == "DIRECTORY")
            for name, status in sorted(listed)
        ]

    def locate(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{check_relative(name)}"

    def read(self, path: str) -> bytes:
        status = self._ask(lambda client: client.status(path))
        if status["type"] != "FILE":
            raise RefusedFileError("not a regular file")
        check_size(int(status["length"]))
        for _ in range(TRIES):
            content = self._ask(lambda client: _read_whole(client, path))
            if content is not None:
                return content
            time.sleep(PAUSE_S)
        raise RefusedFileError("HDFS breaks off while it is read: its blocks may be damaged")

    def _ask(self, question: Callable[[Any], T]) -> T:
        """The answer; RefusedFileError where the path is to blame, else SourceDownError."""
        from hdfs import HdfsError
        from requests import RequestException

        try:
            return question(_open_client(self.address))
        except HdfsError as error:
            # Hadoop may put a stack trace after the first line.
            told = error.message.partition("\n")[0]
            if error.exception in OWN_TROUBLE:
                raise RefusedFileError(OWN_TROUBLE[error.exception] or told) from None
            if error.exception == "IOException" and self._has_live_nodes():
                raise RefusedFileError(f"HDFS cannot read it: {told}") from None
            raise SourceDownError(f"HDFS at {self.address} cannot be used now: {told}") from error
        except RequestException as error:
            raise SourceDownError(f"HDFS at {self.address} does not answer: {error}") from error

    def _has_live_nodes(self) -> bool:
        """False where no file can be read; a gateway that does not know counts as that."""
        import requests

        query = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
        try:
            beans = requests.get(self.address + query, timeout=TIMEOUT_S).json()["beans"]
            return bool(beans) and int(beans[0]["NumLiveDataNodes"]) > 0
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return False


@functools.cache
def _open_client(address: str) -> Any:
    """One for this process: it keeps its connections."""
    return open_client(address, timeout=TIMEOUT_S)


def _read_whole(client: Any, path: str) -> bytes | None:
    """The content; None where the answer broke off."""
    from urllib3.exceptions import ProtocolError

    try:
        with client.read(path) as reader:
            return bytes(reader.read())
    except ProtocolError:
        return None
