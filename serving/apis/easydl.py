"""EasyDL's on-premises API: POST /{deployment}/ImageClassification.

Where a picture may show several classes, its results are those that it shows: whoever called EasyDL
took each result for an answer, and has no field to learn of thresholds from.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from serving.apis.answers import answer_json, describe_errors
from serving.apis.baidu import number_log
from serving.body import CURL, JSON, RAW, Upload, decode_base64, find_kind, parse_json, refuse_kind
from serving.request_errors import RequestError
from serving.schemas import EasyDLError, EasyDLRequest, EasyDLResponse, EasyDLResult
from serving.service import Service

PATH = "/{deployment}/ImageClassification"
EXAMPLE = '{"image": "<base64>", "top_num": 5}, top_num if you like'
_REQUEST = TypeAdapter(EasyDLRequest)


def _describe_body() -> dict[str, Any]:
    example = {"image": "iVBORw0KGgo…", "top_num": 3}
    content = {JSON: {"schema": EasyDLRequest.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def make_router(service: Service) -> APIRouter:
    """The route of this API."""
    router = APIRouter(tags=["EasyDL"])

    @router.post(
        PATH,
        response_model=EasyDLResponse,
        responses=describe_errors(EasyDLError, 404),
        openapi_extra=_describe_body(),
        summary="Classify one picture, as EasyDL's on-premises server does",
    )
    async def classify(deployment: str, request: Request) -> Response:
        own = service.model.deployment
        if deployment != own:
            raise RequestError(
                404, "not_found", f"There is no {deployment[:80]!r} here: this server is {own!r}."
            )
        kind = find_kind(request)
        # Clients that set no Content-Type are taken at their word: this API knows only JSON.
        if kind not in (JSON, RAW, CURL):
            raise refuse_kind(kind, JSON)
        async with service.intake.open(request) as body:
            asked = parse_json(await body.read(), _REQUEST, EXAMPLE)
            (scores,) = await service.score_pictures(
                [Upload(decode_base64(asked.image))], request.state.request_id
            )
        # Of several labels, what is said may stand further down.
        found = service.predict(scores, None if service.is_several else asked.top_num)
        said = found.said if service.is_several else found.results
        results = tuple(
            EasyDLResult(name=one.label, score=one.score) for one in said[: asked.top_num]
        )
        log_id = number_log(request.state.request_id)
        return answer_json(EasyDLResponse(log_id=log_id, results=results))

    return router
