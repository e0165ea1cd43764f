"""A refusal waits until its request is read, where its end is known and near."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from serving.courtesy import LIMITS_READ, SMALL_BYTES, Courtesy
from serving.limits import Limits

LIMITS = Limits(max_body_bytes=2**20, body_seconds=0.2)
MOST = LIMITS_READ * LIMITS.max_body_bytes


class Caller:
    """Sends chunks as long as it is asked; then it is silent."""

    def __init__(self, chunks: Iterable[bool]) -> None:
        self._chunks = iter(chunks)
        self.events: list[str] = []

    async def receive(self) -> Message:
        more = next(self._chunks, None)
        if more is None:
            await asyncio.sleep(60)
        self.events.append("read")
        return {"type": "http.request", "body": b"x", "more_body": more}

    async def send(self, message: Message) -> None:
        self.events.append(message["type"])


def ask(caller: Caller, status: int, headers: dict[str, str]) -> None:
    async def answer(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": raw}
    asyncio.run(Courtesy(answer, LIMITS)(scope, caller.receive, caller.send))


@pytest.mark.parametrize("length", [SMALL_BYTES + 1, MOST])
def test_a_refused_request_is_read_to_its_end_first(length: int) -> None:
    caller = Caller([True, True, True, False])
    ask(caller, 413, {"content-length": str(length)})
    assert caller.events == ["read"] * 4 + ["http.response.start", "http.response.body"]


def test_a_silent_one_is_answered_all_the_same() -> None:
    caller = Caller([True])
    ask(caller, 401, {"content-length": str(MOST)})
    assert caller.events == ["read", "http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"content-length": str(MOST)}),
        (413, {"content-length": str(SMALL_BYTES)}),
        (413, {"content-length": str(MOST + 1)}),
        (413, {"content-length": str(MOST), "expect": "100-continue"}),
        (413, {"content-length": str(MOST), "transfer-encoding": "chunked"}),
        (413, {"transfer-encoding": "chunked"}),
        (413, {}),
    ],
)
def test_all_others_are_answered_at_once(status: int, headers: dict[str, str]) -> None:
    caller = Caller([True] * 10)
    ask(caller, status, headers)
    assert caller.events == ["read", "http.response.start", "http.response.body"]
