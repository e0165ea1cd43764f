"""Reads a large request to its end before it is refused.

A gateway that gets an answer while it still sends the request closes both connections, and the
caller, who still sends, too, sees a broken pipe in place of the answer.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.body import read_length
from serving.limits import Limits

# What is smaller has arrived as a whole by then: gateways and kernels hold as much.
SMALL_BYTES = 64 * 1024
# What is longer than so many times the limit is nobody's mistake, and not read for courtesy.
LIMITS_READ = 4


class Courtesy:
    """The outermost layer: lets an error wait for its request, as long as a body may take."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_read(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        arriving = True

        async def receive_watched() -> Message:
            nonlocal arriving
            message = await receive()
            arriving = bool(message.get("more_body"))
            return message

        async def send_last(message: Message) -> None:
            begins = message["type"] == "http.response.start"
            if begins and message["status"] >= HTTPStatus.BAD_REQUEST:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.body_seconds):
                        while arriving:
                            await receive_watched()
            await send(message)

        await self._app(scope, receive_watched, send_last)

    def _is_read(self, headers: Headers) -> bool:
        """Whether its end is known and near; whoever asks before sending (Expect) has not begun."""
        length, most = read_length(headers), LIMITS_READ * self._limits.max_body_bytes
        if length is None or not SMALL_BYTES < length <= most:
            return False
        return "expect" not in headers and "transfer-encoding" not in headers
