"""Sends callers away at the door while the server is full, at a fraction of a request's price.

Under a flood most of the work would otherwise be the refusing: routing, a log line and the
framework's layers cost as much for a refusal as for an answer.
"""

import logging
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.request_errors import RequestError
from serving.request_ids import REQUEST_ID_HEADER, make_request_id
from serving.service import Service

LOGGER = logging.getLogger("serving.door")
# One line says how many were sent away since the last one.
LOG_SECONDS = 1.0

Render = Callable[[RequestError, Request], Response]


class Door:
    """The layer before all work: knows only whether there is room."""

    def __init__(self, app: ASGIApp, service: Service, render: Render) -> None:
        self._app, self._service, self._render = app, service, render
        self._sent_away, self._last_line = 0, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        error = self._service.find_refusal()
        if error is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = make_request_id(request.headers)
        request.state.request_id = request_id
        answer = self._render(error, request)
        answer.headers[REQUEST_ID_HEADER] = request_id
        self._service.metrics.refused.inc()
        self._log()
        await answer(scope, receive, send)

    def _log(self) -> None:
        self._sent_away += 1
        now = time.monotonic()
        if now - self._last_line >= LOG_SECONDS:
            LOGGER.warning("full", extra={"fields": {"sent_away": self._sent_away}})
            self._sent_away, self._last_line = 0, now
