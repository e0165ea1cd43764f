"""Where a picture may show several classes, every API answers what reaches its threshold."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.app import create_app
from serving.bundle.manifest import ONE
from serving.job.errors import UserError
from serving.job.review_decisions import decide
from serving.job.reviews import list_reviews
from serving.job.samples import read_sample
from serving.keeping import Keeper, Keeping, KeptRequest
from serving.schemas import PredictResponse
from serving.smoke import ServeError, check_answers, check_sense, name_answer
from serving.spec import SmokeSamples
from tests.serving.reviewing import insert_sample
from tests.serving.running import run_server
from tests.serving.test_app import RAW
from tests.serving.test_queue_kept import GOLD, TEAL, keep, queue, sha_of_bytes
from tests.serving.tiny import make_samples, plain, write_bundle, write_several_bundle

WHITE, BLACK = plain(255), plain(0)
# Bright with a probability of 0.60, dark with 0.40.
GREY = plain(140)
LOW, HIGH = (0.3, 0.3), (0.7, 0.7)
# Of the grey picture it says what is less likely, alone.
ODD = (0.7, 0.3)


@pytest.fixture
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Its parameter: the thresholds of bright and dark."""
    bundle = write_several_bundle(tmp_path / "b", getattr(request, "param", LOW))
    with run_server(create_app(bundle, "brightness", 3)) as port:
        yield port


def post(port: int, path: str, content: bytes | str, **headers: str) -> Any:
    address = f"http://127.0.0.1:{port}{path}"
    answer = requests.post(address, data=content, headers={**RAW, **headers}, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("port", "labels"),
    [(LOW, ["bright", "dark"]), (HIGH, []), (ODD, ["dark"])],
    indirect=["port"],
)
def test_every_api_answers_what_reaches_its_threshold(port: int, labels: list[str]) -> None:
    native = post(port, "/v1/predict", GREY)
    assert (native["labels"], native["declined"]) == (labels, not labels)
    scores = {one["label"]: one["score"] for one in native["results"]}
    assert list(scores) == ["bright", "dark"]
    assert scores["bright"] == pytest.approx(0.6, abs=0.01)
    short = post(port, "/v1/predict?top=1", GREY)
    assert (short["labels"], len(short["results"])) == (labels, 1)
    asked = {"image": base64.b64encode(GREY).decode()}
    for top, said in ((5, labels), (1, labels[:1])):
        body = json.dumps(asked | {"top_num": top})
        easydl = post(port, "/brightness/ImageClassification", body)
        assert [(one["name"], one["score"]) for one in easydl["results"]] == [
            (label, scores[label]) for label in said
        ]
    edge = post(port, "/", GREY)["results"]
    assert [one["label"] for one in edge] == labels
    assert [one["index"] for one in edge] == [("bright", "dark").index(one) for one in labels]
    for threshold, count in ((0.0, 2), (0.5, 1), (0.9, 0)):
        assert len(post(port, f"/?threshold={threshold}", GREY)["results"]) == count
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [asked["image"]]}
    body = json.dumps({"inputs": [tensor]})
    outputs = post(port, "/v2/models/brightness/infer", body)["outputs"]
    assert {one["name"]: one["data"] for one in outputs}["label"] == ["|".join(sorted(labels))]


def test_the_model_tells_its_thresholds_and_counts_each_label(port: int) -> None:
    model = requests.get(f"http://127.0.0.1:{port}/v1/model", timeout=30).json()
    assert (model["task"], model["thresholds"]) == (
        "image_multilabel",
        {"bright": 0.3, "dark": 0.3},
    )
    files = [("file", (name, data)) for name, data in (("a", GREY), ("b", WHITE))]
    answer = requests.post(f"http://127.0.0.1:{port}/v1/predict", files=files, timeout=30).json()
    assert [one["labels"] for one in answer["predictions"]] == [["bright", "dark"], ["bright"]]
    metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    assert 'modelmill_predictions_total{label="bright"} 2.0' in metrics
    assert 'modelmill_predictions_total{label="dark"} 1.0' in metrics
    assert "modelmill_declined_total 0.0" in metrics


def test_one_label_is_what_it_was_and_names_it(tmp_path: Path) -> None:
    with run_server(create_app(write_bundle(tmp_path / "b"), "brightness", 3)) as port:
        answer = post(port, "/v1/predict", GREY)
        assert (answer["labels"], len(answer["results"])) == (["bright"], 2)
        model = requests.get(f"http://127.0.0.1:{port}/v1/model", timeout=30).json()
    assert model["thresholds"] is None


def ask_about_grey(predicted: str) -> SmokeSamples:
    (white, _) = make_samples(predicted, "dark").samples
    grey = {"content_base64": base64.b64encode(GREY).decode()}
    return SmokeSamples(samples=(white.model_copy(update=grey),))


@pytest.mark.parametrize(
    ("port", "right"), [(LOW, "bright|dark"), (HIGH, ""), (ODD, "dark")], indirect=["port"]
)
def test_smoke_wants_every_label_and_no_other(port: int, right: str) -> None:
    address = f"http://127.0.0.1:{port}"
    check_sense(address)
    check_answers(address, ask_about_grey(right))
    for wrong in {"bright|dark", "", "dark", "bright"} - {right}:
        with pytest.raises(ServeError, match="to the server, and was"):
            check_answers(address, ask_about_grey(wrong))


def test_answers_of_servers_of_before_are_read(port: int) -> None:
    answer = post(port, "/v1/predict", WHITE)
    del answer["labels"]
    before = PredictResponse.model_validate(answer)
    assert (name_answer(before, ONE), before.labels) == ("bright", ())


def test_kept_requests_are_those_with_an_unsure_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "0")
    monkeypatch.setenv("MODELMILL_KEEP_FOLDER", str(folder))
    with run_server(create_app(write_several_bundle(tmp_path / "b", LOW), "d", 5)) as port:
        for content, name in ((GREY, "grey"), (WHITE, "white"), (BLACK, "black")):
            post(port, "/v1/predict", content, **{"X-Request-ID": name})
    (note,) = folder.glob("*.json")
    kept = KeptRequest.model_validate_json(note.read_bytes())
    assert (kept.request_id, kept.label) == ("grey", "bright|dark")
    # Dark is said with 0.4: less sure than bright.
    assert kept.score == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(
    ("label", "status"),
    [("dark|bright", 202), ("a" * 150 + "|" + "b" * 150, 202), ("a" * 201, 400)],
)
def test_feedback_names_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str, status: int
) -> None:
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "1")
    monkeypatch.setenv("MODELMILL_KEEP_FOLDER", str(tmp_path / "kept"))
    app = create_app(write_several_bundle(tmp_path / "b", HIGH), "d", 5)
    with run_server(app) as port:
        post(port, "/v1/predict", GREY, **{"X-Request-ID": "mine"})
        app.state.service.keeper._writer.submit(int).result()
        said = {"request_id": "mine", "label": label}
        address = f"http://127.0.0.1:{port}/v1/feedback"
        assert requests.post(address, json=said, timeout=30).status_code == status
    (note,) = (one for one in (tmp_path / "kept").glob("*.json") if "feedback" not in one.name)
    kept = KeptRequest.model_validate_json(note.read_bytes())
    assert (kept.label, round(kept.score, 1)) == ("", 0.4)


def test_labels_of_a_kept_request_are_the_same_in_any_order(
    database: Any, dataset: str, tmp_path: Path
) -> None:
    keeper = Keeper(Keeping(share=1, folder=tmp_path / "kept"), version=3)
    for number, label in enumerate(("cat", "dog")):
        insert_sample(database, dataset, number, label)
    several = {"$set": {"task": "image_multilabel"}}
    database["datasets"].update_one({"_id": dataset}, several)
    keep(keeper, "agreed", TEAL, "cat|dog", "dog|cat")
    keep(keeper, "none", GOLD, "")
    assert queue(database, dataset, tmp_path) == (2, 0, 0)
    items = {one.sha256: one for one in list_reviews(database, dataset).items}
    teal, gold = items[sha_of_bytes(TEAL)], items[sha_of_bytes(GOLD)]
    assert (teal.label, teal.predicted, teal.suspicion) == ("cat|dog", "cat|dog", 0.5)
    # The least sure label's, which is no score of both.
    assert teal.scores == ()
    assert (gold.label, gold.predicted, gold.scores, gold.suspicion) == ("", "", (), 0.5)
    # Nothing is no label that a sample could have.
    with pytest.raises(UserError, match="LABEL was ''"):
        decide(database, dataset, gold.sha256, "confirm", by="ann")
    assert keeper.add_feedback("none", 0, "dog | cat")
    assert queue(database, dataset, tmp_path) == (0, 1, 0)
    (told,) = (one for one in list_reviews(database, dataset).items if one.sha256 == gold.sha256)
    assert (told.label, told.suspicion) == ("cat|dog", 1)
    decide(database, dataset, gold.sha256, "confirm", by="ann")
    assert read_sample(database, dataset, gold.sha256).label == "cat|dog"
    decide(database, dataset, teal.sha256, "relabel", "dog", by="ann")
    assert read_sample(database, dataset, teal.sha256).label == "dog"
