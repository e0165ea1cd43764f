"""EasyEdge's SDK API: POST /?threshold=0.1 with raw bytes or JSON."""

import math
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from serving.apis.answers import answer_json, describe_errors
from serving.body import (
    JSON,
    RAW,
    Upload,
    decode_base64,
    find_kind,
    is_raw,
    parse_json,
    refuse_kind,
)
from serving.request_errors import RequestError
from serving.schemas import EasyEdgeError, EasyEdgeRequest, EasyEdgeResponse, EasyEdgeResult
from serving.service import Service

PATH = "/"
EXAMPLE = '{"image": "<base64>"}'
_REQUEST = TypeAdapter(EasyEdgeRequest)
_THRESHOLD = {
    "name": "threshold",
    "in": "query",
    "required": False,
    "description": "Smallest confidence of a result; by default the bundle's own, of each class",
    "schema": {"type": "number", "minimum": 0, "maximum": 1},
}


def parse_threshold(value: str | None) -> float | None:
    """The query's threshold; raises RequestError."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise RequestError(
            400, "bad_threshold", f"threshold={value[:40]!r}: give a number from 0 to 1."
        )
    return number


def _describe_body() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    example = {"image": "iVBORw0KGgo…"}
    content = {
        RAW: binary,
        "image/*": binary,
        JSON: {"schema": EasyEdgeRequest.model_json_schema(), "example": example},
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": [_THRESHOLD]}


def make_router(service: Service) -> APIRouter:
    """The route of this API."""
    router = APIRouter(tags=["EasyEdge"])

    @router.post(
        PATH,
        response_model=EasyEdgeResponse,
        responses=describe_errors(EasyEdgeError),
        openapi_extra=_describe_body(),
        summary="Classify one picture, as EasyEdge's SDK does",
    )
    async def infer(request: Request) -> Response:
        begin = time.perf_counter()
        threshold = parse_threshold(request.query_params.get("threshold"))
        kind = find_kind(request)
        if kind != JSON and not is_raw(kind):
            raise refuse_kind(kind, f"image/*, {RAW} or {JSON}")
        async with service.intake.open(request) as body:
            content = await body.read()
            if kind == JSON:
                content = decode_base64(parse_json(content, _REQUEST, EXAMPLE).image)
            (scores,) = await service.score_pictures([Upload(content)], request.state.request_id)
        index = {label: number for number, label in enumerate(service.classes)}
        found = service.predict(scores, None)
        if threshold is None and service.is_several:
            said = found.said
        else:
            least = service.threshold if threshold is None else threshold
            said = tuple(one for one in found.results if one.score >= least)
        results = tuple(
            EasyEdgeResult(confidence=one.score, index=index[one.label], label=one.label)
            for one in said
        )
        cost = round((time.perf_counter() - begin) * 1000, 3)
        return answer_json(EasyEdgeResponse(cost_ms=cost, results=results))

    return router
