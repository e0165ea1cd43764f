"""uvicorn's HTTP protocol with an end to its patience: callers that never finish a header.

uvicorn itself bounds the size of a request's header, not its time. It is h11's parser though
httptools takes half its time: that one hands on a request that offers HTTP/2 without its body, and
Java's HttpClient makes that offer.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from serving.whole_answers import WholeAnswers


def _answer(status: str, sentence: str) -> bytes:
    body = sentence.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def make_protocol(header_seconds: float) -> type[asyncio.Protocol]:
    """A protocol class for uvicorn.Config(http=…)."""

    class PatientProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(WholeAnswers(transport))  # type: ignore[arg-type]
            self._start()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._waits_for_header():
                self._stop()
            elif self._timer is None:
                self._start()

        def _waits_for_header(self) -> bool:
            # Its type does not say so, but there is none before the first request.
            cycle: RequestResponseCycle | None = self.cycle
            return cycle is None or cycle.response_complete

        def _start(self) -> None:
            self._timer = self.loop.call_later(header_seconds, self._give_up)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if not self.transport.is_closing() and self._waits_for_header():
                sentence = f"The header took longer than {header_seconds:g} s to arrive."
                self.transport.write(_answer("408 Request Timeout", sentence))
                self.transport.close()

    return PatientProtocol
