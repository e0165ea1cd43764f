"""The database that holds datasets, samples and deployments."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serving.job.errors import UserError

MONGO_VARIABLE = "MODELMILL_MONGO_URI"
DATABASE = "modelmill"


def mongo_uri() -> str:
    """Address of the server, from the environment: it may hold a password."""
    uri = os.environ.get(MONGO_VARIABLE)
    if not uri:
        raise UserError(f"Set {MONGO_VARIABLE} to mongodb://HOST:PORT.")
    return uri


def open_database() -> Any:
    """Connect; datetimes come back aware, in UTC."""
    from pymongo import MongoClient

    client: MongoClient[dict[str, Any]] = MongoClient(
        mongo_uri(), tz_aware=True, serverSelectionTimeoutMS=10_000
    )
    return client[DATABASE]


@contextmanager
def use_database() -> Iterator[Any]:
    """The same, closed at the end."""
    database = open_database()
    try:
        yield database
    finally:
        database.client.close()
