"""What a bundle was trained to see is what the server shows it."""

from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from serving.app import create_app
from serving.bundle import codec
from serving.bundle.manifest import Preprocessing, Resize
from serving.bundle.predictor import Predictor
from tests.serving.test_app import RAW, predict
from tests.serving.tiny import SIZE, encode, write_bundle


def test_each_way_to_fit_is_the_bundles(tmp_path: Path) -> None:
    """Dark, with bright ends: each way sees another brightness."""
    image = Image.new("RGB", (300, 100), (90, 90, 90))
    image.paste((255, 255, 255), (0, 0, 60, 100))
    answers = set()
    for resize in get_args(Resize):
        bundle = write_bundle(tmp_path / resize, resize=resize)
        answer = predict(create_app(bundle, "d", 1), content=encode(image), headers=RAW).json()
        served = {one["label"]: one["score"] for one in answer["results"]}
        trained_on = codec.prepare(encode(image), Preprocessing(size=SIZE, resize=resize))
        (expected,) = Predictor(bundle).score([trained_on])
        assert served["bright"] == pytest.approx(float(expected[0]), abs=1e-6)
        answers.add(round(served["bright"], 3))
    assert len(answers) == len(get_args(Resize))
