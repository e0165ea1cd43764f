"""A client of WebHDFS that takes every path as it stands."""

import os
import posixpath
from typing import Any


def open_client(address: str, **options: Any) -> Any:
    """For the user that Hadoop's own variable names; no Java on this side."""
    from hdfs import InsecureClient

    class LiteralClient(InsecureClient):  # type: ignore[misc]
        # The library would put the newest file's name in place of a file called #LATEST.
        def resolve(self, hdfs_path: str) -> str:
            return posixpath.normpath(hdfs_path)

    user = os.environ.get("HADOOP_USER_NAME", "modelmill")
    return LiteralClient(address, user=user, **options)
