"""The job that answers a folder: with a real database, bundle and files."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from serving.app import create_app
from serving.desired import DesiredState, PastVersion, compare_and_set
from serving.job.errors import UserError
from serving.offline import predict_folder as job
from serving.offline.predict_folder import predict_folder
from serving.offline.spec import PredictFolderSpec
from tests.serving.bundle.test_folders import fill
from tests.serving.test_app import RAW, predict
from tests.serving.tiny import add_operating_point, write_bundle, write_several_bundle

HEADER = ["path", "label", "score", "declined", "label_2", "score_2", "error"]
HEADER_OF_SEVERAL = ["path", "labels", *HEADER[1:]]


@pytest.fixture
def spec(tmp_path: Path, database: Any, deployment: str) -> PredictFolderSpec:
    """Version 2 is in service; version 1, which says the opposite, was before it."""
    old = write_bundle(tmp_path / "old", sign=-1).as_uri()
    state = DesiredState(
        deployment=deployment,
        version=2,
        image_tag="",
        bundle_uri=write_bundle(tmp_path / "new").as_uri(),
        generation=1,
        port=1,
        history=(PastVersion(version=1, image_tag="", bundle_uri=old),),
    )
    assert compare_and_set(database, state, 0)
    folder = fill(tmp_path / "in")
    (folder / "note.txt").write_text("buy milk")
    return PredictFolderSpec(
        output_uri=(tmp_path / "job").as_uri(),
        deployment=deployment,
        folder_uri=folder.as_uri(),
        target_uri=(tmp_path / "out.csv").as_uri(),
        format="csv",
    )


def read_rows(path: Path, header: list[str] = HEADER) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        assert rows.fieldnames == header
        return list(rows)


def test_every_file_is_a_row(spec: PredictFolderSpec, tmp_path: Path) -> None:
    outcome = predict_folder(spec)
    rows = read_rows(tmp_path / "out.csv")
    folder = tmp_path / "in"
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert [row["path"] for row in rows] == files
    assert (outcome.version, outcome.predicted, outcome.unreadable) == (2, len(files) - 1, 1)
    assert outcome.files == len(files)
    app = create_app(tmp_path / "new", "d", 2)
    for row in rows:
        if row["path"] == "note.txt":
            assert [row[name] for name in HEADER[1:6]] == [""] * 5
            assert "not an image" in row["error"]
            continue
        content = (folder / row["path"]).read_bytes()
        first, second = predict(app, content=content, headers=RAW).json()["results"]
        assert (row["label"], float(row["score"])) == (first["label"], first["score"])
        assert (row["label_2"], float(row["score_2"])) == (second["label"], second["score"])
        assert (row["declined"], row["error"]) == ("false", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "new", "old", "out.csv"]


def test_lines_of_json(spec: PredictFolderSpec, tmp_path: Path) -> None:
    target = tmp_path / "in" / "out.jsonl"
    again = {"target_uri": target.as_uri(), "format": "jsonl", "top": 1, "min_score": 0.9}
    outcome = predict_folder(spec.model_copy(update=again))
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(lines) == outcome.files
    for line in lines:
        assert bool(line["error"]) == (line["path"] == "note.txt")
        assert len(line["results"]) == (not line["error"])
        assert line["declined"] == (not line["error"] and line["results"][0]["score"] < 0.9)
        answered = not line["error"] and not line["declined"]
        assert line["labels"] == ([line["results"][0]["label"]] if answered else [])
    assert 0 < outcome.declined < outcome.predicted
    assert outcome.declined == sum(line["declined"] for line in lines)
    # Its own answers are no picture.
    forced = spec.model_copy(update={**again, "force": True})
    assert predict_folder(forced).files == outcome.files


def test_it_declines_as_the_bundle_says(spec: PredictFolderSpec, tmp_path: Path) -> None:
    assert predict_folder(spec).declined == 0
    add_operating_point(tmp_path / "new", 0.9)
    own = predict_folder(spec.model_copy(update={"force": True}))
    said = {row["path"]: row["declined"] for row in read_rows(tmp_path / "out.csv")}
    asked = predict_folder(spec.model_copy(update={"force": True, "min_score": 0.9}))
    assert said == {row["path"]: row["declined"] for row in read_rows(tmp_path / "out.csv")}
    assert own.declined == asked.declined > 0
    assert own.decline_below == asked.decline_below == 0.9
    never = predict_folder(spec.model_copy(update={"force": True, "min_score": 0.0}))
    assert never.declined == 0


def test_several_labels_are_those_of_the_server(
    spec: PredictFolderSpec, database: Any, tmp_path: Path
) -> None:
    bundle = write_several_bundle(tmp_path / "several", (0.3, 0.05))
    change = {"$set": {"bundle_uri": bundle.as_uri()}}
    database["deployments"].update_one({"_id": spec.deployment}, change)
    outcome = predict_folder(spec)
    rows = read_rows(tmp_path / "out.csv", HEADER_OF_SEVERAL)
    again = {"target_uri": (tmp_path / "out.jsonl").as_uri(), "format": "jsonl"}
    predict_folder(spec.model_copy(update=again))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    app = create_app(bundle, "d", 2)
    seen = set()
    for row, line in zip(rows, lines, strict=True):
        if row["error"]:
            assert (row["labels"], row["declined"], line["labels"]) == ("", "", [])
            continue
        content = (tmp_path / "in" / row["path"]).read_bytes()
        served = predict(app, content=content, headers=RAW).json()
        assert (line["labels"], line["results"]) == (served["labels"], served["results"])
        assert row["labels"] == "|".join(sorted(served["labels"]))
        assert row["label"] == served["results"][0]["label"]
        assert row["declined"] == str(served["declined"]).lower()
        seen.add(row["labels"])
    assert seen == {"dark", "bright|dark"}
    assert (outcome.declined, outcome.decline_below) == (0, 0)
    sure = predict_folder(spec.model_copy(update={"force": True, "min_score": 0.9}))
    said = {row["labels"] for row in read_rows(tmp_path / "out.csv", HEADER_OF_SEVERAL)}
    assert said == {"dark", ""}
    assert 0 < sure.declined < sure.predicted


def test_other_version_by_its_number(spec: PredictFolderSpec, tmp_path: Path) -> None:
    outcome = predict_folder(spec)
    old = {"version": 1, "target_uri": (tmp_path / "old.csv").as_uri()}
    assert (outcome.version, predict_folder(spec.model_copy(update=old)).version) == (2, 1)
    new, before = (read_rows(tmp_path / name) for name in ("out.csv", "old.csv"))
    said = [(a["label"], b["label"]) for a, b in zip(new, before, strict=True) if not a["error"]]
    assert all(a != b for a, b in said)


def test_name_that_is_no_utf8_is_written_as_utf8(spec: PredictFolderSpec, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "in" / "note.txt").rename(tmp_path / "in" / name)
    predict_folder(spec)
    assert "caf\\xe9.png" in {row["path"] for row in read_rows(tmp_path / "out.csv")}


def test_file_that_is_there_is_kept_unless_forced(spec: PredictFolderSpec, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("dear to me")
    with pytest.raises(UserError, match=r"out\.csv is there already: .* --force"):
        predict_folder(spec)
    assert (tmp_path / "out.csv").read_text() == "dear to me"
    predict_folder(spec.model_copy(update={"force": True}))
    assert read_rows(tmp_path / "out.csv")


def test_half_an_answer_is_never_there(
    spec: PredictFolderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None: ...

        def write(self, *_: object, **__: object) -> None:
            raise OSError("no space left on device")

    monkeypatch.setattr(job, "WRITERS", {"csv": Broken})
    (tmp_path / "out.csv").write_text("earlier")
    with pytest.raises(OSError, match="no space"):
        predict_folder(spec.model_copy(update={"force": True}))
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert not list(tmp_path.glob(".*"))


def test_mistakes_are_sentences(spec: PredictFolderSpec, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    changes: dict[str, dict[str, object]] = {
        "holds no file": {"folder_uri": (tmp_path / "nothing").as_uri()},
        "There is no folder": {"folder_uri": (tmp_path / "gone").as_uri()},
        "is a folder: name a file": {"target_uri": (tmp_path / "nothing").as_uri()},
        "to write a.csv into": {"target_uri": (tmp_path / "gone" / "a.csv").as_uri()},
        "there is no such deployment; there are: .*Did you mean": {
            "deployment": spec.deployment[:-1]
        },
    }
    for sentence, change in changes.items():
        with pytest.raises(UserError, match=sentence):
            predict_folder(spec.model_copy(update=change))
    assert not (tmp_path / "out.csv").exists()
