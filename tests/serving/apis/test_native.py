"""Several pictures in one request."""

import base64
from pathlib import Path

import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.limits import Limits
from tests.serving.test_app import LABELS, error_of, predict
from tests.serving.tiny import plain, write_bundle


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(write_bundle(tmp_path / "b", classes=LABELS), "brightness", 3)


def test_several_files_and_lists_are_answered_in_their_order(app: FastAPI) -> None:
    greys = (255, 0, 255)
    files = [("file", (f"{grey}.png", plain(grey))) for grey in greys]
    asked = [{"image": base64.b64encode(plain(grey)).decode(), "top": 1} for grey in greys]
    for answer in (predict(app, files=files, params={"top": 1}), predict(app, json=asked)):
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert set(body) == {"request_id", "predictions", "model"}
        found = [[r["label"] for r in p["results"]] for p in body["predictions"]]
        assert found == [["<b>bright</b>"], ["键盘"], ["<b>bright</b>"]]
    assert len(predict(app, json=asked[:1]).json()["predictions"]) == 1


def test_which_of_several_pictures_is_bad(app: FastAPI) -> None:
    files = [("file", ("a.png", plain(1))), ("file", ("../b.png", b"%PDF"))]
    message = error_of(predict(app, files=files), 400, "bad_image")
    assert message.startswith("Picture 2 of 2, '../b.png', cannot be used: not an image")
    good = {"image": base64.b64encode(plain(1)).decode()}
    assert error_of(predict(app, json=[good, {"image": "!"}]), 400, "bad_base64")[0] == "1"
    assert "list is empty" in error_of(predict(app, json=[]), 400, "empty")


def test_more_pictures_than_a_request_may_hold(tmp_path: Path) -> None:
    app = create_app(write_bundle(tmp_path / "b"), "d", 1, Limits(max_pictures=2))
    asked = [{"image": base64.b64encode(plain(1)).decode()}] * 3
    assert "at most 2" in error_of(predict(app, json=asked), 413, "too_many")
    files = [("file", ("a.png", plain(1)))] * 3
    assert "Maximum number of files is 2" in error_of(predict(app, files=files), 400, "bad_form")
