"""What the APIs' answers have in common."""

from typing import Any

from fastapi import Response
from pydantic import BaseModel

_REASONS = {
    400: "Not a picture that can be used, or a bad field",
    401: "No token that is valid, where tokens are asked for",
    408: "The request arrived too slowly",
    413: "The request, or its number of pictures, is too large",
    415: "A Content-Type that is not taken",
    503: "Too much at once: try again after Retry-After",
}


def describe_errors(form: type[BaseModel], *also: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's responses of one API: its own form for every error."""
    reasons = {
        **_REASONS,
        **dict.fromkeys(also, "There is no such deployment, model, version or request"),
    }
    return {
        status: {"model": form, "description": text} for status, text in sorted(reasons.items())
    }


def answer_json(model: BaseModel, *, status: int = 200, **options: Any) -> Response:
    """A model as JSON, written once, without a second validation."""
    return Response(model.model_dump_json(**options), status, media_type="application/json")
