"""Around every request: an id, a log line, metrics, and an answer even where the server failed."""

import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.request_errors import RequestError
from serving.request_ids import REQUEST_ID_HEADER, make_request_id
from serving.telemetry import Metrics
from serving.tokens import TokenGate

LOGGER = logging.getLogger("serving.requests")
HEALTH_PATHS = frozenset({"/healthz", "/livez", "/readyz"})
METRICS_PATH = "/metrics"
QUIET_PATHS = HEALTH_PATHS | {METRICS_PATH}
UNAUTHORIZED = (
    "This deployment asks for a token: send the header Authorization: Bearer TOKEN. "
    "./modelmill token new NAME makes one."
)
PATH_CHARACTERS = 200

Render = Callable[[RequestError, Request], Response]


class TokenMiddleware:
    """Asks for a bearer token where the deployment has some; watch: who may see the metrics too."""

    def __init__(self, app: ASGIApp, gate: TokenGate, watch: TokenGate, render: Render) -> None:
        self._app, self._gate, self._watch, self._render = app, gate, watch, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("Authorization", "")
        watches = scope["path"] == METRICS_PATH and self._watch.admits(given)
        if watches or self._gate.admits(given):
            await self._app(scope, receive, send)
            return
        error = RequestError(401, "unauthorized", UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        await self._render(error, Request(scope))(scope, receive, send)


def _is_open(method: str, path: str) -> bool:
    """Health, and the page, which holds nothing of its own."""
    return path in HEALTH_PATHS or path.startswith("/v2/health/") or (method, path) == ("GET", "/")


class TelemetryMiddleware:
    """Gives each request an id (the caller's X-Request-ID where it is sane) and reports it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, render: Render) -> None:
        self._app, self._metrics, self._render = app, metrics, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = make_request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            LOGGER.exception("defect", extra={"fields": {"request_id": request_id}})
            if status:  # half an answer is out: only cutting the connection is honest
                raise
            error = RequestError(500, "internal", "The server failed; its log has the reason.")
            answer = self._render(error, Request(scope))
            await answer(scope, receive, send_with_id)
        finally:
            self._report(scope, request_id, status, time.perf_counter() - started)

    def _report(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # Unknown paths share one label: a scanner must not grow the metrics without end.
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.observe_request(route, status, seconds)
        path = scope["path"]
        level = logging.DEBUG if path in QUIET_PATHS else logging.INFO
        if LOGGER.isEnabledFor(level):
            fields = {
                "request_id": request_id,
                "method": scope["method"],
                "path": path[:PATH_CHARACTERS],
                "status": status,
                "ms": round(seconds * 1000, 1),
            }
            LOGGER.log(level, "", extra={"fields": fields})
