"""Whose form an error has."""

import pytest

from serving.apis.error_forms import find_form


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
    assert find_form(method, path).api == api
