"""Reads a large request to its end before it is refused.

A gateway that gets an answer while it still sends the request closes both connections, and the
caller, who still sends, too, sees a broken pipe in place of the answer.
"""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.limits import Limits

# What is smaller has arrived as a whole by then: gateways and kernels hold as much.
SMALL_BYTES = 64 * 1024
# Of a request that is too large this many times its limit is read, not more.
LIMITS_READ = 4
FIRST_ERROR = 400


class Courtesy:
    """The outermost layer. Whoever asks before sending (Expect) has sent nothing to be read."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_be_large(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        arriving = True

        async def receive_counted() -> Message:
            nonlocal arriving
            message = await receive()
            arriving = bool(message.get("more_body"))
            return message

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= FIRST_ERROR:
                left = LIMITS_READ * self._limits.max_body_bytes
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.body_seconds):
                        while arriving and left > 0:
                            left -= len((await receive_counted()).get("body", b""))
            await send(message)

        await self._app(scope, receive_counted, send_last)


def _may_be_large(headers: Headers) -> bool:
    if "expect" in headers:
        return False
    declared = headers.get("content-length", "")
    if declared.isdigit():
        return int(declared) > SMALL_BYTES
    return "transfer-encoding" in headers
