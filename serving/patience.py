"""uvicorn's HTTP protocol with an end to its patience: callers that never finish a header.

uvicorn itself bounds neither the time nor (with httptools) the size of a request's header.
"""

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MAX_HEADER_BYTES = 64 * 2**10


def _answer(status: str, sentence: str) -> bytes:
    body = sentence.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def make_protocol(header_seconds: float) -> type[asyncio.Protocol]:
    """A protocol class for uvicorn.Config(http=…)."""
    base: type = AutoHTTPProtocol

    class PatientProtocol(base):  # type: ignore[misc]
        _timer: asyncio.TimerHandle | None = None
        _header_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._start()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._waits_for_header():
                self._header_bytes += len(data)
                if self._header_bytes > MAX_HEADER_BYTES:
                    self._end("431 Request Header Fields Too Large", "The header is too long.")
                elif self._timer is None:
                    self._start()
            else:
                self._stop()

        def _waits_for_header(self) -> bool:
            return self.cycle is None or bool(self.cycle.response_complete)

        def _start(self) -> None:
            self._timer = self.loop.call_later(header_seconds, self._give_up)

        def _stop(self) -> None:
            self._header_bytes = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            sentence = f"The header took longer than {header_seconds:g} s to arrive."
            self._end("408 Request Timeout", sentence)

        def _end(self, status: str, sentence: str) -> None:
            if not self.transport.is_closing() and self._waits_for_header():
                self.transport.write(_answer(status, sentence))
                self.transport.close()

    return PatientProtocol
