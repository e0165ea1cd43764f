"""Head and body of an answer leave in one write.

uvicorn writes them apart. A process that is killed in between has begun its answer, so that a
gateway can no longer ask another server instead.
"""

import asyncio
from typing import Any

_HEAD, _INFORMATIONAL, _END = b"HTTP/1.1 ", b"HTTP/1.1 1", b"\r\n\r\n"


class WholeAnswers:
    """A transport that keeps an answer's head until what follows it; else it is the one given."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless it is a head alone."""
        is_head = data.startswith(_HEAD) and data.endswith(_END)
        if is_head and not data.startswith(_INFORMATIONAL) and not self._head:
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def close(self) -> None:
        """What is kept still leaves."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._transport.close()
