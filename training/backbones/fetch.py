"""Bytes of a weight file, from wherever a user says it lies."""

from urllib.parse import urlsplit

import requests

from serving.job import store
from serving.job.errors import UserError

ANSWER_LIMIT_S = 60
WEB = ("http", "https")
SCHEMES = ("file", "hdfs", *WEB)


def fetch_weights(uri: str) -> bytes:
    """Read it; UserError where nothing is there to be read."""
    scheme = urlsplit(uri).scheme
    if scheme not in SCHEMES:
        raise UserError(f"The weights' address begins with {scheme}; allowed: {', '.join(SCHEMES)}")
    try:
        if scheme not in WEB:
            return store.read_bytes(uri)
        answer = requests.get(uri, timeout=ANSWER_LIMIT_S)
        answer.raise_for_status()
    except (OSError, requests.RequestException) as error:
        raise UserError(f"The weights cannot be read: {error}.") from error
    return answer.content
