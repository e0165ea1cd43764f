"""A server says "none of these" from its bundle's own operating point on, in every API alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from serving.app import create_app
from serving.bundle.manifest import MODEL_FILE
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint, find_declined
from serving.bundle.predictor import BadBundleError, Predictor
from serving.bundle_files import add_operating_point as publish_point
from serving.bundle_files import fetch_bundle, read_served_files
from tests.serving.running import run_server
from tests.serving.tiny import add_operating_point, make_network, plain, write_bundle

RAW = {"Content-Type": "application/octet-stream"}
BRIGHT, GREY = plain(255), plain(140)


def post(port: int, path: str, content: bytes) -> Any:
    address = f"http://127.0.0.1:{port}{path}"
    answer = requests.post(address, data=content, headers=RAW, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


def test_declines_what_it_is_unsure_of(bundle: Path) -> None:
    point = add_operating_point(bundle, 0.9)
    with run_server(create_app(bundle, "brightness", 3)) as port:
        sure, unsure = (post(port, "/v1/predict", content) for content in (BRIGHT, GREY))
        files = [("file", ("a.png", BRIGHT)), ("file", ("b.png", GREY))]
        both = requests.post(f"http://127.0.0.1:{port}/v1/predict", files=files, timeout=30).json()
        model = requests.get(f"http://127.0.0.1:{port}/v1/model", timeout=30).json()
        edge = [post(port, "/", content)["results"] for content in (BRIGHT, GREY)]
        asked = post(port, "/?threshold=0", GREY)["results"]
        pages = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    assert [one["declined"] for one in (sure, unsure)] == [False, True]
    assert [one["declined"] for one in both["predictions"]] == [False, True]
    # What it is nearest to is told all the same.
    assert unsure["results"][0]["label"] == "bright"
    assert len(unsure["results"]) == 2
    assert OperatingPoint.model_validate(model["operating_point"]) == point
    # EasyEdge's default threshold is the bundle's own; who names one gets that one.
    assert [[one["label"] for one in results] for results in edge] == [["bright"], []]
    assert len(asked) == 2
    assert "modelmill_declined_total 4.0" in pages


def test_a_bundle_without_one_serves_as_before(bundle: Path) -> None:
    with run_server(create_app(bundle, "brightness", 3)) as port:
        assert post(port, "/v1/predict", GREY)["declined"] is False
        assert len(post(port, "/", GREY)["results"]) == 2
        model = requests.get(f"http://127.0.0.1:{port}/v1/model", timeout=30).json()
    assert model["operating_point"] is None


def test_a_score_at_the_threshold_is_an_answer() -> None:
    scores = np.array([[0.7, 0.3], [0.69, 0.31]], np.float32)
    below = float(scores[0, 0])
    assert find_declined(scores, below).tolist() == [False, True]


def test_another_networks_operating_point_is_refused(bundle: Path) -> None:
    add_operating_point(bundle, 0.9)
    (bundle / MODEL_FILE).write_bytes(make_network(sign=-1).SerializeToString())
    with pytest.raises(BadBundleError, match="was chosen for the network"):
        Predictor(bundle)


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "energy"}'])
def test_a_broken_operating_point_is_a_bad_bundle(bundle: Path, text: str) -> None:
    (bundle / OPERATING_POINT_FILE).write_text(text)
    with pytest.raises(BadBundleError, match="is no operating point"):
        Predictor(bundle)


def test_it_becomes_part_of_the_bundle_once(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = write_bundle(tmp_path / "elsewhere")
    first = add_operating_point(chosen, 0.9)
    point_uri = (chosen / OPERATING_POINT_FILE).as_uri()
    bundle = write_bundle(tmp_path / "bundle")
    publish_point(bundle.as_uri(), point_uri)
    again = first.model_copy(update={"run_id": "20270102T030405-abcdef"})
    (chosen / OPERATING_POINT_FILE).write_text(again.model_dump_json())
    publish_point(bundle.as_uri(), point_uri)
    assert not capsys.readouterr().out
    other = again.model_copy(update={"decline_below": 0.5})
    (chosen / OPERATING_POINT_FILE).write_text(other.model_dump_json())
    publish_point(bundle.as_uri(), point_uri)
    assert "keeps the operating point" in capsys.readouterr().out
    served = json.loads(read_served_files(bundle.as_uri())[OPERATING_POINT_FILE])
    assert OperatingPoint.model_validate(served) == first
    fetched = fetch_bundle(bundle.as_uri(), "brightness", 1)
    assert fetched.is_relative_to(home)
    assert Predictor(fetched).operating_point == first
    # One that a crash has cut short is written anew.
    (bundle / OPERATING_POINT_FILE).write_text("{")
    publish_point(bundle.as_uri(), point_uri)
    assert Predictor(bundle).operating_point == other
