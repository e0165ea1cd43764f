"""The model server: one bundle behind four HTTP APIs."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from serving.apis import easydl, easyedge, native, open_inference
from serving.apis.answers import answer_json
from serving.apis.error_forms import find_form
from serving.bundle.predictor import Predictor
from serving.content_policy import hash_inline
from serving.cores import count_cores
from serving.courtesy import Courtesy
from serving.door import Door
from serving.keeping import Keeper, read_keeping
from serving.limits import Limits, read_limits
from serving.middleware import METRICS_PATH, TelemetryMiddleware, TokenMiddleware
from serving.request_errors import RequestError
from serving.schemas import Health, Liveness
from serving.service import Service, describe_model
from serving.telemetry import Metrics
from serving.tokens import TokenGate, locate_watch


def _page_headers(page: str) -> Mapping[str, str]:
    policy = (
        f"default-src 'none'; script-src {hash_inline(page, 'script')}; "
        f"style-src {hash_inline(page, 'style')}; connect-src 'self'; "
        "img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}


def render_error(error: RequestError, request: Request) -> Response:
    """An error in the form of the API that was asked."""
    form = find_form(request.method, request.scope["path"])
    answer = answer_json(form.word(error, request.state.request_id), status=error.status)
    answer.headers.update(error.headers)
    return answer


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def answer_request_error(request: Request, error: RequestError) -> Response:
        return render_error(error, request)

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).name.lower()
        message = f"{request.method} {request.url.path[:200]}: {error.detail}. See /openapi.json."
        return render_error(RequestError(error.status_code, code, message, error.headers), request)


def _add_own_routes(app: FastAPI, service: Service) -> None:
    model, metrics = service.model, service.metrics
    page = resources.files("serving").joinpath("page.html").read_text("utf-8")
    page_headers = _page_headers(page)
    draining: dict[int | str, dict[str, Any]] = {
        503: {"model": Health, "description": "It takes nothing new"}
    }

    async def check_health() -> Response:
        status = "draining" if service.draining else "ok"
        health = Health(status=status, deployment=model.deployment, version=model.version)
        return answer_json(health, status=503 if service.draining else 200)

    for path, summary in (("/readyz", "Ready to answer"), ("/healthz", "The same as /readyz")):
        app.get(
            path,
            response_model=Health,
            responses=draining,
            summary=summary,
            operation_id=path[1:],
        )(check_health)

    @app.get("/livez", summary="The process runs")
    async def check_alive() -> Liveness:
        return Liveness()

    @app.get(METRICS_PATH, include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers=page_headers)


def create_app(
    bundle: Path,
    deployment: str,
    version: int,
    limits: Limits | None = None,
    tokens: Path | None = None,
) -> FastAPI:
    """Load a bundle and serve it; raises BadBundleError, LimitsError.

    tokens is the file of serving.tokens; it may come and go while the server runs.
    app.state.service is what answers. Limits come from the environment where none are given.
    """
    # One thread a picture, as many pictures as cores: more pictures a second than one picture
    # spread over all cores.
    predictor = Predictor(bundle, threads=1)
    metrics = Metrics(deployment, version)
    keeping = read_keeping(os.environ)
    service = Service(
        predictor,
        describe_model(predictor, deployment, version),
        limits or read_limits(os.environ),
        count_cores(),
        metrics,
        keeper=None if keeping is None else Keeper(keeping, version),
    )

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    # FastAPI's own /docs loads its script from a CDN: not for a server that may be offline.
    app = FastAPI(
        title=f"modelmill: {deployment}",
        version=str(version),
        description="Send a picture, get its labels, best first.",
        docs_url=None,
        redoc_url=None,
        lifespan=live,
    )
    app.state.service = service
    _add_error_answers(app)
    for api in (native, easydl, easyedge, open_inference):
        app.include_router(api.make_router(service))
    _add_own_routes(app, service)
    watch = TokenGate(None if tokens is None else locate_watch(tokens), open_without=False)
    app.add_middleware(TokenMiddleware, gate=TokenGate(tokens), watch=watch, render=render_error)
    app.add_middleware(TelemetryMiddleware, metrics=metrics, render=render_error)
    app.add_middleware(Door, service=service, render=render_error)
    app.add_middleware(Courtesy, limits=service.limits)
    return app
