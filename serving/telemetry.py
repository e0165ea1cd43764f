"""What the model server tells of each request: an id, a log line, metrics."""

import json
import logging
import re
import time
import uuid

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.schemas import ErrorDetail, ErrorResponse

LOGGER = logging.getLogger("serving.requests")
REQUEST_ID_HEADER = "X-Request-ID"
# From a cached answer to a decode of the largest picture, in seconds.
BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def error_response(status: int, code: str, message: str, request_id: str) -> JSONResponse:
    """The one shape of every answer from 400 upwards."""
    detail = ErrorDetail(code=code, message=message, request_id=request_id)
    return JSONResponse(ErrorResponse(error=detail).model_dump(), status_code=status)


class Metrics:
    """Prometheus metrics of one server, in a registry of its own."""

    def __init__(self, deployment: str, version: int) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "modelmill_requests", "Requests", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "modelmill_request_seconds",
            "Seconds from the first byte to the answer",
            ["path"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        info = Gauge(
            "modelmill_model", "The model served", ["deployment", "version"], registry=self.registry
        )
        info.labels(deployment, str(version)).set(1)


class TelemetryMiddleware:
    """Gives each request an id (the caller's X-Request-ID where it is sane) and reports it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
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
            LOGGER.exception('{"request_id": "%s", "error": "defect"}', request_id)
            if status:  # half an answer is out: only cutting the connection is honest
                raise
            answer = error_response(
                500, "internal", "The server failed; its log has the reason.", request_id
            )
            await answer(scope, receive, send_with_id)
        finally:
            self._report(scope, request_id, status, time.perf_counter() - started)

    def _report(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        path = scope["path"]
        # Unknown paths share one label: a scanner must not grow the metrics without end.
        label = path if path in self._paths else "other"
        self._metrics.requests.labels(label, str(status)).inc()
        self._metrics.seconds.labels(label).observe(seconds)
        line = {
            "request_id": request_id,
            "method": scope["method"],
            "path": path,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        level = logging.DEBUG if path in ("/healthz", "/metrics") else logging.INFO
        LOGGER.log(level, json.dumps(line, ensure_ascii=True))
