"""The predict job: real Spark, a real database, a folder and a dataset."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE, SEVERAL
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint, hash_model
from serving.bundle.predictor import Predictor
from serving.desired import DesiredState, compare_and_set
from serving.job.errors import UserError
from serving.job.segments import SegmentWriter
from spark_jobs.importing.ledger import Ledger, NewSample
from spark_jobs.importing.source import LEAVES, ROOTS_VARIABLE
from spark_jobs.predict import GONE, run_predict
from spark_jobs.predict_spec import SUMMARY_FILE, PredictOutcome, PredictSpec
from tests.spark_jobs.tiny import CLASSES, make_picture, write_bundle

# What a file system takes; HDFS has no colon.
ODD = ("a\nb.png", "🌿 herb.png", "say 'oak'.png", "50%20.png", "in ner/[x]{y}*.png", "_DSC1.png")


@pytest.fixture
def spec(
    spark: SparkSession,
    database: Any,
    tmp_path: Path,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> PredictSpec:
    monkeypatch.setenv(ROOTS_VARIABLE, str(tmp_path))
    state = DesiredState(
        deployment=dataset,
        version=4,
        image_tag="",
        bundle_uri=write_bundle(tmp_path / "bundle").as_uri(),
        generation=1,
        port=1,
    )
    assert compare_and_set(database, state, 0)
    # A folder whose own name is a pattern.
    folder = tmp_path / "in [a]*"
    for number, name in enumerate(ODD):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_picture(number % 3, number))
    (folder / "note.txt").write_text("buy milk")
    (folder / "empty.png").touch()
    (folder / "away.png").symlink_to("/etc/hostname")
    (folder / ".hidden.png").touch()
    return PredictSpec(
        output_uri=(tmp_path / "job").as_uri(),
        deployment=dataset,
        folder_uri=folder.as_uri(),
        target_uri=(tmp_path / "answers").as_uri(),
        request_id="one",
    )


def read_answers(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in pq.read_table(folder).to_pylist()}


def test_every_file_of_a_folder_is_a_row(spec: PredictSpec, tmp_path: Path) -> None:
    outcome = run_predict(spec)
    rows = read_answers(tmp_path / "answers")
    assert set(rows) == {*ODD, "note.txt", "empty.png", "away.png"}
    assert (outcome.version, outcome.files, outcome.predicted, outcome.failed) == (4, 9, 6, 3)
    predictor = Predictor(tmp_path / "bundle")
    for number, name in enumerate(ODD):
        (expected,) = predictor.score([predictor.prepare(make_picture(number % 3, number))])
        row = rows[name]
        assert (row["label"], row["error"]) == (CLASSES[number % 3], None)
        np.testing.assert_allclose(row["scores"], expected, atol=1e-6)
        assert row["declined"] is False
        assert row["score"] == pytest.approx(max(row["scores"]))
    assert rows["empty.png"]["error"] == "empty file"
    assert rows["away.png"]["error"] == LEAVES
    assert "not an image" in rows["note.txt"]["error"]
    assert rows["note.txt"]["label"] is rows["note.txt"]["scores"] is None
    summary = json.loads((tmp_path / "answers" / SUMMARY_FILE).read_text())
    assert PredictOutcome.model_validate(summary) == outcome
    assert outcome.classes == CLASSES
    assert not list(tmp_path.glob("answers.part*"))


def test_pictures_are_declined_as_the_server_declines_them(
    spec: PredictSpec, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    predictor = Predictor(bundle)
    best = {
        name: float(predictor.score([predictor.prepare(make_picture(n % 3, n))]).max())
        for n, name in enumerate(ODD)
    }
    below = (min(best.values()) + max(best.values())) / 2
    point = OperatingPoint(
        model_sha256=hash_model((bundle / MODEL_FILE).read_bytes()),
        run_id="20260102T030405-abcdef",
        snapshot_id="0" * 20,
        decline_below=below,
    )
    (bundle / OPERATING_POINT_FILE).write_text(point.model_dump_json())
    outcome = run_predict(spec)
    rows = read_answers(tmp_path / "answers")
    expected = {name: score < below for name, score in best.items()}
    assert {name: rows[name]["declined"] for name in ODD} == expected
    assert set(expected.values()) == {True, False}
    assert all(rows[name]["label"] is not None for name in ODD)
    assert rows["note.txt"]["declined"] is None
    assert (outcome.declined, outcome.decline_below) == (sum(expected.values()), below)


def test_several_labels_are_those_of_the_server(spec: PredictSpec, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    predictor = Predictor(bundle)
    scores = {
        name: predictor.score([predictor.prepare(make_picture(n % 3, n))])[0]
        for n, name in enumerate(ODD)
    }
    # Its scores sum to 1, which nobody asks: so low that two are said, or so high that none is.
    second = min(sorted(row)[1] for row in scores.values())
    for threshold in (float(second), 1.0):
        manifest = predictor.manifest.model_copy(
            update={"task": SEVERAL, "thresholds": (threshold,) * len(CLASSES)}
        )
        (bundle / MANIFEST_FILE).write_text(manifest.model_dump_json())
        target = tmp_path / f"answers-{threshold}"
        outcome = run_predict(spec.model_copy(update={"target_uri": target.as_uri()}))
        rows = read_answers(target)
        for name, row in scores.items():
            said = [label for label, one in zip(CLASSES, row, strict=True) if one >= threshold]
            assert rows[name]["label"] == "|".join(sorted(said))
            assert rows[name]["declined"] == (not said)
            sure = min(one if one >= threshold else 1 - one for one in row)
            assert rows[name]["score"] == pytest.approx(sure, abs=1e-6)
        assert rows["note.txt"]["label"] is rows["note.txt"]["declined"] is None
        assert outcome.declined == (len(ODD) if threshold == 1 else 0)
        assert outcome.decline_below == 0


def test_same_request_again_is_done_already(spec: PredictSpec, tmp_path: Path) -> None:
    outcome = run_predict(spec)
    assert run_predict(spec) == outcome
    with pytest.raises(UserError, match="is there already: name a folder that is not"):
        run_predict(spec.model_copy(update={"request_id": "two"}))


def test_every_active_sample_of_a_dataset_is_a_row(
    spec: PredictSpec, database: Any, tmp_path: Path
) -> None:
    raw, writer = (tmp_path / "raw").as_uri(), SegmentWriter()
    for channel in range(3):
        writer.add(f"{channel}" * 64, f"{channel}.png", make_picture(channel, 1))
    segment = writer.write(raw)
    new = [NewSample(f"{n}" * 64, f"{n}.png", "x", None, None, 1) for n in range(4)]
    Ledger(database, spec.deployment, "me").add(new, segment)
    gone = {"dataset": spec.deployment, "sha256": "0" * 64}
    database["samples"].update_one(gone, {"$set": {"state": "deleted"}})
    change = {"folder_uri": "", "dataset": spec.deployment, "raw_uri": raw}
    outcome = run_predict(spec.model_copy(update=change))
    rows = read_answers(tmp_path / "answers")
    assert {path: row["label"] for path, row in rows.items()} == {
        "1.png": CLASSES[1],
        "2.png": CLASSES[2],
        "3.png": None,
    }
    assert rows["3.png"]["error"] == GONE
    assert (outcome.files, outcome.predicted, outcome.failed) == (3, 2, 1)


def test_mistakes_are_sentences(spec: PredictSpec, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    changes: dict[str, dict[str, object]] = {
        "holds no file": {"folder_uri": (tmp_path / "nothing").as_uri()},
        "There is no folder and no file": {"folder_uri": (tmp_path / "gone").as_uri()},
        "there is no such deployment": {"deployment": "none-such"},
        "has no active sample": {"folder_uri": "", "dataset": "none-such"},
    }
    for sentence, change in changes.items():
        with pytest.raises(UserError, match=sentence):
            run_predict(spec.model_copy(update=change))
    assert not list(tmp_path.glob("answers*"))
    with pytest.raises(ValidationError, match="either folder_uri or dataset"):
        PredictSpec.model_validate({**spec.model_dump(), "dataset": "too"})
