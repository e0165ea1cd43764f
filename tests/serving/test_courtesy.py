"""A refusal waits until its request is read, as far as that is bearable."""

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope, Send

from serving.courtesy import LIMITS_READ, Courtesy
from serving.limits import Limits

LIMITS = Limits(max_body_bytes=1024, body_seconds=0.2)
CHUNK = 512
LARGE = 10**6


class Caller:
    """Sends chunks as long as it is asked; then it is silent."""

    def __init__(self, chunks: Iterable[bool]) -> None:
        self._chunks = iter(chunks)
        self.read = 0
        self.events: list[str] = []

    async def receive(self) -> Message:
        more = next(self._chunks, None)
        if more is None:
            await asyncio.sleep(60)
        self.read += 1
        self.events.append("read")
        return {"type": "http.request", "body": b"x" * CHUNK, "more_body": more}

    async def send(self, message: Message) -> None:
        self.events.append(message["type"])


def ask(caller: Caller, status: int, length: int = LARGE, **headers: str) -> None:
    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    given = {"content-length": str(length), **headers}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "headers": raw}
    asyncio.run(Courtesy(refuse, LIMITS)(scope, caller.receive, caller.send))


def test_a_refused_request_is_read_to_its_end_first() -> None:
    caller = Caller([True, True, True, False])
    ask(caller, 413)
    assert caller.events == ["read"] * 4 + ["http.response.start", "http.response.body"]


def test_one_without_end_is_read_so_far_and_no_further() -> None:
    caller = Caller([True] * 1000)
    ask(caller, 413)
    assert caller.read == 1 + LIMITS_READ * LIMITS.max_body_bytes // CHUNK
    assert caller.events[-1] == "http.response.body"


def test_a_silent_one_is_answered_all_the_same() -> None:
    caller = Caller([True])
    ask(caller, 401)
    assert caller.events == ["read", "http.response.start", "http.response.body"]


def test_what_is_good_or_small_or_only_announced_is_answered_at_once() -> None:
    for status, length, headers in (
        (200, LARGE, {}),
        (413, 100, {}),
        (413, LARGE, {"expect": "100-continue"}),
    ):
        caller = Caller([True] * 10)
        ask(caller, status, length, **headers)
        assert caller.read == 1
