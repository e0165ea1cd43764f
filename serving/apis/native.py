"""modelmill's own API: /v1/predict and /v1/model."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from serving.apis.answers import answer_json, describe_errors
from serving.body import (
    FORM,
    JSON,
    RAW,
    Body,
    Upload,
    decode_base64,
    find_kind,
    is_raw,
    parse_json,
    refuse_kind,
)
from serving.bundle.manifest import BAR
from serving.request_errors import RequestError
from serving.schemas import (
    DEFAULT_TOP,
    MAX_LABEL,
    ErrorResponse,
    FeedbackRequest,
    FeedbackResponse,
    ModelInfo,
    PredictManyResponse,
    PredictRequest,
    PredictResponse,
)
from serving.service import Service

ACCEPTED = f"image/*, {RAW}, {FORM} or {JSON}"
EXAMPLE = '{"image": "<base64>", "top": 5}, top if you like, or a list of these'
_ONE = TypeAdapter(PredictRequest)
_LIST = TypeAdapter(list[PredictRequest])
_FEEDBACK = TypeAdapter(FeedbackRequest)
FEEDBACK_EXAMPLE = '{"request_id": "…", "label": "oak"}'
_BINARY = {"type": "string", "format": "binary"}
_TOP = {
    "name": "top",
    "in": "query",
    "required": False,
    "description": "How many labels to answer",
    "schema": {"type": "integer", "minimum": 1, "default": DEFAULT_TOP},
}


def parse_top(value: str | None, name: str = "top") -> int:
    """A query's or body's count of labels; raises RequestError."""
    if value is None:
        return DEFAULT_TOP
    if not (value.isascii() and value.isdigit() and len(value) < 9 and int(value) > 0):
        raise RequestError(
            400, f"bad_{name}", f"{name}={value[:40]!r}: give a whole number from 1."
        )
    return int(value)


class Question:
    """Pictures with the number of labels wanted of each; many: asked as a list."""

    def __init__(self, uploads: list[Upload], tops: list[int], *, many: bool) -> None:
        self.uploads, self.tops, self.many = uploads, tops, many


async def read_question(body: Body) -> Question:
    """Read any of the four forms of a request; raises RequestError."""
    kind = find_kind(body.request)
    top = parse_top(body.request.query_params.get("top"))
    if kind == JSON:
        content = await body.read()
        if content.lstrip()[:1] == b"[":
            return _decode(parse_json(content, _LIST, EXAMPLE), top)
        return _decode(parse_json(content, _ONE, EXAMPLE), top)
    if kind == FORM:
        uploads = await body.read_files()
        return Question(uploads, [top] * len(uploads), many=len(uploads) > 1)
    if is_raw(kind):
        return Question([Upload(await body.read())], [top], many=False)
    raise refuse_kind(kind, ACCEPTED)


def _decode(asked: PredictRequest | list[PredictRequest], top: int) -> Question:
    many = isinstance(asked, list)
    requests = asked if isinstance(asked, list) else [asked]
    if not requests:
        raise RequestError(400, "empty", f"The list is empty: send {EXAMPLE}.")
    uploads = [
        Upload(decode_base64(one.image, f"{number}.image" if many else "image"))
        for number, one in enumerate(requests)
    ]
    tops = [one.top if "top" in one.model_fields_set else top for one in requests]
    return Question(uploads, tops, many=many)


def _describe_body() -> dict[str, Any]:
    one = {"image": "iVBORw0KGgo…", "top": 3}
    schema = PredictRequest.model_json_schema()
    files = {"type": "object", "properties": {"file": {"type": "array", "items": _BINARY}}}
    content = {
        "image/*": {"schema": _BINARY},
        RAW: {"schema": _BINARY},
        FORM: {"schema": {**files, "required": ["file"]}},
        JSON: {
            "schema": {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]},
            "examples": {"one": {"value": one}, "several": {"value": [one, one]}},
        },
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": [_TOP]}


def _describe_feedback() -> dict[str, Any]:
    example = {"request_id": "5b1c0f", "label": "oak"}
    content = {JSON: {"schema": FeedbackRequest.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def make_router(service: Service) -> APIRouter:
    """The routes of this API."""
    router = APIRouter(tags=["native"])

    @router.post(
        "/v1/predict",
        response_model=PredictResponse | PredictManyResponse,
        responses=describe_errors(ErrorResponse),
        openapi_extra=_describe_body(),
        summary="Classify a picture, or several",
    )
    async def predict(request: Request) -> Response:
        request_id = request.state.request_id
        async with service.intake.open(request) as body:
            question = await read_question(body)
            scores = await service.score_pictures(question.uploads, request_id)
        found = [service.predict(s, t) for s, t in zip(scores, question.tops, strict=True)]
        model = service.answering_model
        if question.many:
            return answer_json(
                PredictManyResponse(request_id=request_id, predictions=tuple(found), model=model)
            )
        return answer_json(
            PredictResponse(
                request_id=request_id,
                declined=found[0].declined,
                labels=found[0].labels,
                results=found[0].results,
                model=model,
            )
        )

    @router.post(
        "/v1/feedback",
        status_code=202,
        response_model=FeedbackResponse,
        responses=describe_errors(ErrorResponse, 404, 409),
        openapi_extra=_describe_feedback(),
        summary="Say what a kept picture really shows",
    )
    async def tell(request: Request) -> Response:
        async with service.intake.open(request) as body:
            asked = parse_json(await body.read(), _FEEDBACK, FEEDBACK_EXAMPLE)
        if service.keeper is None:
            message = "This server keeps no requests: set MODELMILL_KEEP_REQUESTS."
            raise RequestError(409, "nothing_kept", message)
        parts = asked.label.split(BAR) if service.is_several else [asked.label]
        if max(map(len, parts)) > MAX_LABEL:
            message = f"label: a class's name has at most {MAX_LABEL} characters."
            raise RequestError(400, "bad_json", message)
        if not service.keeper.add_feedback(asked.request_id, asked.picture, asked.label):
            message = f"Picture {asked.picture} of request {asked.request_id!r} was not kept."
            raise RequestError(404, "not_kept", message)
        return answer_json(FeedbackResponse(request_id=asked.request_id), status=202)

    @router.get("/v1/model", summary="The model and its lineage")
    async def describe() -> ModelInfo:
        return service.model

    return router
