"""What a caller can mend: one error, which each API words in its own form."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

# A busy server is free again within the time that its queue takes.
RETRY_SECONDS: Final = 1
MAX_CHARACTERS: Final = 600


class RequestError(Exception):
    """HTTP status, a code for programs, a sentence for people, headers of the answer."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        # What a caller sent may be quoted in it, at any length.
        self.message = message if len(message) <= MAX_CHARACTERS else f"{message[:MAX_CHARACTERS]}…"
        super().__init__(self.message)
        self.status, self.code = status, code
        self.headers = dict(headers or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("Retry-After", str(RETRY_SECONDS))


def busy(what: str) -> RequestError:
    """The server has as much to do as it takes on."""
    return RequestError(503, "busy", f"{what}: try again in {RETRY_SECONDS} s.")


def too_slow(seconds: float) -> RequestError:
    """The body took longer than it may."""
    return RequestError(408, "too_slow", f"The request took longer than {seconds:g} s to arrive.")
