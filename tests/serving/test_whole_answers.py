"""An answer leaves in one write: a killed server has answered wholly or not at all."""

import asyncio
from typing import cast

from serving.whole_answers import WholeAnswers


class Recorder:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_head_waits_for_its_body() -> None:
    below = Recorder()
    above = WholeAnswers(cast("asyncio.Transport", below))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    above.write(head)
    assert below.written == []
    above.write(b"ok")
    above.write(b"")
    assert below.written == [head + b"ok", b""]
    # An empty body is a write, too.
    above.write(head)
    above.write(b"")
    assert below.written[-1] == head
    # To go on is no answer yet.
    above.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert below.written[-1].startswith(b"HTTP/1.1 100")
    above.write(head)
    above.close()
    assert below.written[-1] == head
    assert above.is_closing()
