"""From a folder of pictures to a served model, and everything a person looks at on the way."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.pictures import CLASSES, make_picture, write_pictures
from tests.integration.stack import Stack
from tests.photos import find_photos

TASKS = {"plan", "etl", "train", "evaluate", "gate", "build_image", "deploy"}


@pytest.fixture(scope="module")
def trained(stack: Stack, imported: str) -> dict[str, Any]:
    return stack.train(imported)


def test_import_counts_everything_it_read(stack: Stack, pictures: Path) -> None:
    again = stack.json("import", str(pictures), "--dataset", "signs-counted")
    rejected = {Path(r["name"]).name: r["reason"] for r in again["rejected"]}
    assert set(rejected) == {"empty.jpg", "notes.txt", "cut off.png"}
    assert "empty" in rejected["empty.jpg"]
    assert again["added"] == 24 * len(CLASSES)
    total = again["added"] + again["already_there"] + again["conflicts"] + len(rejected)
    assert again["read"] == total == 24 * len(CLASSES) + 3


def test_import_twice_changes_nothing(stack: Stack, imported: str, pictures: Path) -> None:
    again = stack.json("import", str(pictures), "--dataset", imported)
    assert (again["added"], again["conflicts"]) == (0, 0)
    assert again["already_there"] == 24 * len(CLASSES)


def test_same_bytes_under_two_labels_are_a_conflict(stack: Stack, tmp_path: Path) -> None:
    for name in CLASSES[:2]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.png").write_bytes(make_picture(0, 9_000))
    answer = stack.json("import", str(tmp_path), "--dataset", "conflicting")
    assert (answer["read"], answer["added"], answer["conflicts"]) == (2, 1, 1)


def test_run_ends_in_service(trained: dict[str, Any]) -> None:
    assert trained["state"] == "success"
    assert trained["accuracy"] >= 0.8
    assert trained["seconds_per_task"].keys() == TASKS


def test_api_answers_right(trained: dict[str, Any]) -> None:
    point = httpx.get(trained["endpoint"] + "/v1/model").json()["operating_point"]
    below = point["decline_below"] if point else 0.0
    for kind, label in enumerate(CLASSES):
        content = make_picture(kind, 5_000)
        raw = httpx.post(trained["endpoint"] + "/v1/predict", content=content)
        sent = {"image": base64.b64encode(content).decode()}
        coded = httpx.post(trained["endpoint"] + "/v1/predict", json=sent)
        form = httpx.post(trained["endpoint"] + "/v1/predict", files={"file": content})
        for answer in (raw, coded, form):
            body = answer.json()
            assert answer.status_code == 200, body
            assert body["results"][0]["label"] == label
            assert body["declined"] is (body["results"][0]["score"] < below)
            scores = [r["score"] for r in body["results"]]
            assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "image/png", 400),
        (b"hello", "image/png", 400),
        (b"hello", "text/plain", 415),
        (b"x" * 30_000_000, "image/png", 413),
        (b"{}", "application/json", 400),
    ],
)
def test_api_refuses_nonsense_with_a_sentence(
    trained: dict[str, Any], content: bytes, kind: str, status: int
) -> None:
    answer = httpx.post(
        trained["endpoint"] + "/v1/predict", content=content, headers={"content-type": kind}
    )
    assert answer.status_code == status
    assert len(answer.json()["error"]["message"]) > 10


def test_predict_command(stack: Stack, trained: dict[str, Any], tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    picture.write_bytes(make_picture(1, 7_000))
    answer = stack.json("predict", "--deployment", "signs", str(picture))
    assert answer["predictions"][0]["results"][0]["label"] == CLASSES[1]
    assert trained["endpoint"] == answer["endpoint"]


def test_report_shows_class_names_as_text(trained: dict[str, Any]) -> None:
    page = httpx.get(trained["report_uri"])
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert CLASSES[0] in page.text
    assert "&lt;b&gt;" in page.text
    assert "<b>" not in page.text


def test_mlflow_holds_the_run_and_the_champion(stack: Stack, trained: dict[str, Any]) -> None:
    address = stack.settings.mlflow_address + "/api/2.0/mlflow/registered-models/alias"
    found = httpx.get(address, params={"name": "signs", "alias": "champion"}).json()
    version = found["model_version"]
    assert int(version["version"]) == trained["model_version"]
    run = httpx.get(
        stack.settings.mlflow_address + "/api/2.0/mlflow/runs/get",
        params={"run_id": version["run_id"]},
    ).json()["run"]
    assert run["info"]["run_name"] == trained["run_id"]


def test_second_model_takes_over_the_same_port(
    stack: Stack, trained: dict[str, Any], tmp_path: Path
) -> None:
    write_pictures(tmp_path, CLASSES, per_class=6, start=100)
    stack.json("import", str(tmp_path), "--dataset", "signs")
    second = stack.json("train", "--dataset", "signs", "--wait")
    assert second["state"] == "success"
    assert second["model_version"] == trained["model_version"] + 1
    assert second["endpoint"] == trained["endpoint"]
    model = httpx.get(second["endpoint"] + "/v1/model").json()
    assert model["version"] == second["model_version"]
    # Nothing has changed since: nothing is trained, and what serves goes on.
    again = stack.json("train", "--dataset", "signs", "--wait")
    assert again["state"] == "success"
    assert f"run {second['run_id']}: nothing was trained" in again["reason"]
    assert f"version {second['model_version']}, serves already" in again["reason"]
    assert again["weights_sha256"] == second["weights_sha256"]
    assert again["accuracy"] == second["accuracy"]
    assert "deploy" not in again["seconds_per_task"]


def test_gate_stops_a_model_that_is_not_good_enough(stack: Stack, tmp_path: Path) -> None:
    # Both classes are drawn alike: nothing can tell them apart.
    for label in ("left", "right"):
        (tmp_path / label).mkdir()
        for number in range(20):
            seed = number if label == "left" else number + 1_000
            (tmp_path / label / f"{number}.png").write_bytes(make_picture(0, seed))
    stack.json("import", str(tmp_path), "--dataset", "coin")
    done = stack.run(
        "train", "--dataset", "coin", "--wait", "--min-accuracy", "1", "--json", check=False
    )
    assert done.returncode == 3, done.stderr
    assert '"stopped_by_gate"' in done.stdout
    assert "min_accuracy" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--dataset", "nothing-here", "--wait"], ["nothing-here", "signs"]),
        (["train", "--dataset", "Not A Name"], ["dataset", "Not A Name"]),
        (["train", "--dataset", "signs", "--min-accuracy", "7"], ["min-accuracy", "7"]),
        (["import", "/nowhere", "--dataset", "signs"], ["/nowhere"]),
        (["predict", "--deployment", "nobody", __file__], ["nobody"]),
        (["report", "no-such-run"], ["no-such-run"]),
    ],
)
def test_mistakes_get_a_sentence(
    stack: Stack, imported: str, arguments: list[str], words: list[str]
) -> None:
    done = stack.run(*arguments, check=False)
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr + done.stdout


def test_everything_listens_on_loopback_only(stack: Stack, trained: dict[str, Any]) -> None:
    ports = {
        f"{getattr(stack.settings, name):04X}"
        for name in type(stack.settings).model_fields
        if name.startswith("port_")
    }
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "0" * 24 + "01000000")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and port in ports:
                assert address in (loopback, "0000000000000000FFFF00000100007F"), line


@pytest.mark.skipif(
    not find_photos().is_dir(),
    reason="needs the hymenoptera photos: set MODELMILL_TEST_DATA to the folder that holds them",
)
def test_photos_reach_the_accuracy_that_the_readme_names(stack: Stack) -> None:
    photos = find_photos().resolve()
    stack.json("import", str(photos), "--dataset", "hymenoptera")
    answer = stack.json("train", "--dataset", "hymenoptera", "--wait")
    assert answer["accuracy"] >= 0.93
    photo = next((photos / "val" / "bees").glob("*.jpg"))
    curl = subprocess.run(
        ["curl", "-sS", "--data-binary", f"@{photo}", answer["endpoint"] + "/v1/predict"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"label"' in curl.stdout
