"""A network whose scores are no numbers: in every API an error of its own form, no answer."""

import base64
from pathlib import Path

import pytest
from fastapi import FastAPI

from serving.app import create_app
from tests.serving.test_app import RAW, ask
from tests.serving.tiny import SIZE, make_nan_network, plain, write_bundle

PICTURE = base64.b64encode(plain(255)).decode()
PIXELS = {"datatype": "FP32", "shape": [1, 3, SIZE, SIZE], "data": [0.5] * 3 * SIZE * SIZE}


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(write_bundle(tmp_path / "b", network=make_nan_network()), "d", 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/predict", {"image": PICTURE}),
        ("/d/ImageClassification", {"image": PICTURE}),
        ("/?threshold=0.1", {"image": PICTURE}),
        (
            "/v2/models/d/infer",
            {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [PICTURE]}]},
        ),
    ],
)
def test_no_api_answers_with_what_is_no_number(
    app: FastAPI, path: str, body: dict[str, object]
) -> None:
    answer = ask(app, "POST", path, json=body)
    assert answer.status_code == 500
    assert "no numbers" in answer.text
    assert "modelmill_predictions_total{" not in ask(app, "GET", "/metrics").text


def test_pixels_that_the_network_cannot_bear_are_the_callers(app: FastAPI) -> None:
    body = {"inputs": [{"name": "pixels", **PIXELS}]}
    answer = ask(app, "POST", "/v2/models/d/infer", json=body)
    assert answer.status_code == 400
    assert "no numbers" in answer.json()["error"]
    assert ask(app, "POST", "/v1/predict", content=plain(1), headers=RAW).status_code == 500
