"""A connection to MongoDB for one piece of work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serving.job.mongo import open_database


@contextmanager
def connect() -> Iterator[Any]:
    """Open the database and close its connections at the end."""
    database = open_database()
    try:
        yield database
    finally:
        database.client.close()
