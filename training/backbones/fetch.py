"""Bytes of a weight file, from wherever a user says it lies."""

import time
from urllib.parse import urlsplit

import requests
from hdfs import HdfsError

from serving.job import store
from serving.job.errors import UserError
from training.backbones.given_files import MOST_BYTES

ANSWER_LIMIT_S = 60
WHOLE_LIMIT_S = 1800
PIECE = 1 << 20
WEB = ("http", "https")
SCHEMES = ("file", "hdfs", *WEB)


def fetch_weights(uri: str) -> bytes:
    """Read it; UserError where nothing is there to be read."""
    scheme = urlsplit(uri).scheme
    if scheme not in SCHEMES:
        raise UserError(f"The weights' address begins with {scheme}; allowed: {', '.join(SCHEMES)}")
    try:
        if scheme in WEB:
            return _download(uri)
        if store.measure(uri) > MOST_BYTES:
            raise UserError(f"The weights are larger than {MOST_BYTES:,} bytes.")
        return store.read_bytes(uri)
    except requests.RequestException as error:
        # Its own text would repeat the address, and what is secret in it.
        told = f"{type(error).__name__} of {urlsplit(uri).hostname}"
        raise UserError(f"The weights cannot be read: {told}.") from error
    except (OSError, HdfsError) as error:
        raise UserError(f"The weights cannot be read: {error}.") from error


def _download(uri: str) -> bytes:
    end, content = time.monotonic() + WHOLE_LIMIT_S, bytearray()
    with requests.get(uri, timeout=ANSWER_LIMIT_S, stream=True) as answer:
        if not answer.ok:
            told = f"{answer.status_code} {answer.reason} of {urlsplit(uri).hostname}"
            raise UserError(f"The weights cannot be read: {told}.")
        for piece in answer.iter_content(PIECE):
            content += piece
            if len(content) > MOST_BYTES:
                raise UserError(f"The weights are larger than {MOST_BYTES:,} bytes.")
            if time.monotonic() > end:
                raise UserError(f"The weights took longer than {WHOLE_LIMIT_S} s to come.")
    return bytes(content)
