"""The model server: one bundle behind an HTTP API."""

import os
from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serving.body import MAX_BODY_BYTES, Question, RequestError, read_question
from serving.bundle import codec
from serving.bundle.predictor import Predictor
from serving.content_policy import hash_inline
from serving.schemas import (
    AnsweringModel,
    ErrorResponse,
    Health,
    LabelScore,
    ModelInfo,
    PredictRequest,
    PredictResponse,
)
from serving.telemetry import Metrics, TelemetryMiddleware, error_response

# More than this at once is refused, so that waiting bodies cannot fill the memory.
MAX_IN_FLIGHT = 32

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "Not a picture that can be used, or a bad field"},
    413: {"model": ErrorResponse, "description": f"More than {MAX_BODY_BYTES // 2**20} MiB"},
    415: {"model": ErrorResponse, "description": "A Content-Type that is not taken"},
    503: {"model": ErrorResponse, "description": "Too many requests at once: try again"},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TOP = {
    "name": "top",
    "in": "query",
    "required": False,
    "description": "How many labels to answer",
    "schema": {"type": "integer", "minimum": 1, "default": 5},
}


def _describe_body() -> dict[str, Any]:
    example = {"image": "iVBORw0KGgo…", "top": 3}
    file = {"type": "object", "required": ["file"], "properties": {"file": _BINARY["schema"]}}
    content = {
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
        "multipart/form-data": {"schema": file},
        "application/json": {"schema": PredictRequest.model_json_schema(), "example": example},
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": [_TOP]}


def count_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _describe_model(predictor: Predictor, deployment: str, version: int) -> ModelInfo:
    manifest = predictor.manifest
    lineage = manifest.lineage.model_dump(exclude={"backbone_sha256"})
    return ModelInfo(
        deployment=deployment,
        version=version,
        task=manifest.task,
        classes=manifest.classes,
        metrics=manifest.metrics,
        **lineage,
    )


def _page_headers(page: str) -> Mapping[str, str]:
    policy = (
        f"default-src 'none'; script-src {hash_inline(page, 'script')}; "
        f"style-src {hash_inline(page, 'style')}; connect-src 'self'; "
        "img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}


class Answerer:
    """Decodes and infers off the event loop, one picture per core at a time."""

    def __init__(self, predictor: Predictor, model: ModelInfo) -> None:
        self._predictor = predictor
        fields = set(AnsweringModel.model_fields)
        self._model = AnsweringModel.model_validate(model.model_dump(include=fields))
        self._limiter = anyio.CapacityLimiter(count_cores())
        self._in_flight = 0

    def _predict(self, question: Question) -> tuple[LabelScore, ...]:
        picture = self._predictor.prepare(question.picture)
        scores = self._predictor.score([picture])[0]
        ranked = codec.rank_labels(scores, self._predictor.manifest.classes, question.top)
        # float32 sums may end a hair above 1.
        return tuple(LabelScore(label=label, score=min(score, 1.0)) for label, score in ranked)

    async def answer(self, request: Request) -> PredictResponse:
        """Read one request and answer it; raises RequestError."""
        if self._in_flight >= MAX_IN_FLIGHT:
            raise RequestError(503, "busy", f"{MAX_IN_FLIGHT} requests are in work: try again.")
        self._in_flight += 1
        try:
            question = await read_question(request)
            results = await anyio.to_thread.run_sync(self._predict, question, limiter=self._limiter)
        except codec.BadImageError as error:
            raise RequestError(400, "bad_image", f"The picture cannot be used: {error}.") from None
        except ClientDisconnect:
            raise RequestError(400, "disconnected", "The caller left.") from None
        finally:
            self._in_flight -= 1
        return PredictResponse(
            request_id=request.state.request_id, results=results, model=self._model
        )


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def answer_request_error(request: Request, error: RequestError) -> JSONResponse:
        response = error_response(error.status, error.code, error.message, request.state.request_id)
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = "1"
        return response

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        message = f"{request.method} {request.url.path}: {error.detail}. See /openapi.json."
        response = error_response(error.status_code, code, message, request.state.request_id)
        response.headers.update(error.headers or {})
        return response


def create_app(bundle: Path, deployment: str, version: int) -> FastAPI:
    """Load a bundle and serve it; raises serving.bundle.predictor.BadBundleError."""
    # One thread a picture, as many pictures as cores: more pictures a second than one picture
    # spread over all cores.
    predictor = Predictor(bundle, threads=1)
    model = _describe_model(predictor, deployment, version)
    answerer = Answerer(predictor, model)
    metrics = Metrics(deployment, version)
    page = resources.files("serving").joinpath("page.html").read_text("utf-8")
    page_headers = _page_headers(page)
    # FastAPI's own /docs loads its script from a CDN: not for a server that may be offline.
    app = FastAPI(
        title=f"modelmill: {deployment}",
        version=str(version),
        description="Send a picture, get its labels, best first.",
        docs_url=None,
        redoc_url=None,
    )
    _add_error_answers(app)

    @app.post(
        "/v1/predict",
        response_model=PredictResponse,
        responses=_ERRORS,
        openapi_extra=_describe_body(),
        summary="Classify one picture",
    )
    async def predict(request: Request) -> PredictResponse:
        return await answerer.answer(request)

    @app.get("/v1/model", response_model=ModelInfo, summary="The model and its lineage")
    async def describe() -> ModelInfo:
        return model

    @app.get("/healthz", response_model=Health, summary="Ready to answer")
    async def check_health() -> Health:
        return Health(deployment=deployment, version=version)

    @app.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers=page_headers)

    paths = frozenset({"/", "/openapi.json", "/v1/predict", "/v1/model", "/healthz", "/metrics"})
    app.add_middleware(TelemetryMiddleware, metrics=metrics, paths=paths)
    return app
