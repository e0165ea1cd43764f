"""Whose form an error has."""

import pytest

from serving.apis.error_forms import find_form
from serving.apis.tensor_schemas import InferError
from serving.request_errors import RequestError
from serving.schemas import EasyDLError, EasyEdgeError, ErrorResponse

FORMS = {
    "native": ErrorResponse,
    "easydl": EasyDLError,
    "easyedge": EasyEdgeError,
    "open_inference": InferError,
}


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("POST", "/v1/predict", "native"),
        ("POST", "/boards/ImageClassification", "easydl"),
        ("GET", "/v2/ImageClassification", "easydl"),
        ("POST", "/ImageClassification/more", "native"),
        ("POST", "/", "easyedge"),
        ("GET", "/", "native"),
        ("GET", "/v2", "open_inference"),
        ("POST", "/v2/models/boards/infer", "open_inference"),
        ("GET", "/v2x", "native"),
        ("GET", "/x/v2/", "native"),
    ],
)
def test_path_belongs_to_one_api(method: str, path: str, api: str) -> None:
    said = find_form(method, path).word(RequestError(503, "busy", "Try again."), "id")
    assert type(said) is FORMS[api]
