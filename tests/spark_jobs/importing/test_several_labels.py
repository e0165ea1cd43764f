"""Several labels a sample: from tables and folders into datasets of both tasks."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.importing.job import run_import
from spark_jobs.report_models import ClassCount, Conflict, ImportReport
from spark_jobs.spec import ImportSpec, Rejection
from tests.spark_jobs.tiny import make_picture

NAMES = [f"{i}.png" for i in range(6)]


@pytest.fixture
def pictures(import_root: Path) -> Path:
    for i, name in enumerate(NAMES):
        (import_root / name).write_bytes(make_picture(0, i))
    return import_root


@pytest.fixture
def several(spec: ImportSpec) -> ImportSpec:
    return spec.model_copy(update={"labels": "several"})


def write_csv(folder: Path, *labels: str) -> None:
    rows = [f"{name},{label}" for name, label in zip(NAMES, labels, strict=False)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))


def write_lines(folder: Path, *labels: object) -> None:
    rows = [
        json.dumps({"file": n, "label": label}) for n, label in zip(NAMES, labels, strict=False)
    ]
    (folder / "labels.jsonl").write_text("\n".join(rows))


def read_labels(database: Any, dataset: str) -> dict[str, str]:
    return {one["name"]: one["label"] for one in database["samples"].find({"dataset": dataset})}


def test_cells_with_bars(
    several: ImportSpec, pictures: Path, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(pictures, "dog|cat", "cat", " cat | cat|", "|", "e\u0301t\u00e9|dog", "fox")
    with (pictures / "labels.csv").open("a") as table:
        table.write("\n0.png,cat|dog\n1.png,fox|cat\n")
    outcome = run_import(several)
    assert outcome.task == "image_multilabel"
    assert (outcome.read, outcome.added, outcome.already_there, outcome.conflicts) == (8, 5, 1, 1)
    assert outcome.rejected == (Rejection(name="labels.csv, line 5 (3.png)", reason="empty label"),)
    labels = read_labels(database, several.dataset)
    assert [labels[n] for n in NAMES if n in labels] == ["cat|dog", "cat", "cat", "dog|été", "fox"]
    document = database["datasets"].find_one({"_id": several.dataset})
    assert document["classes"] == ["cat", "dog", "fox", "été"]
    assert document["task"] == "image_multilabel"
    report = store.read_model(store.join(several.output_uri, "import_report.json"), ImportReport)
    assert report.found.endswith("label from 'label', several labels a sample")
    assert report.conflicts == (Conflict(name="1.png", claimed="cat|fox", label="cat"),)
    assert report.classes == (
        ClassCount(label="cat", added=3, already_there=1, conflicts=1),
        ClassCount(label="dog", added=2, already_there=1, conflicts=0),
        ClassCount(label="fox", added=1, already_there=0, conflicts=1),
        ClassCount(label="été", added=1, already_there=0, conflicts=0),
    )
    assert "claims 'cat|fox', but its bytes are in the dataset as 'cat'" in capsys.readouterr().out
    again = run_import(several)
    assert (again.added, again.already_there, again.conflicts) == (0, 6, 1)


def test_a_bar_is_only_a_sign_unless_chosen(
    spec: ImportSpec, pictures: Path, database: Any
) -> None:
    write_csv(pictures, "dog|cat", "cat")
    outcome = run_import(spec)
    assert outcome.task == "image_classification"
    assert outcome.added_per_class == {"cat": 1, "dog|cat": 1}
    document = database["datasets"].find_one({"_id": spec.dataset})
    assert document["task"] == "image_classification"


def test_lists_are_recognised(spec: ImportSpec, pictures: Path, database: Any) -> None:
    write_lines(pictures, ["b", "a"], "a", [], ["a|b"], ["a", ["b"]], [1, "b"])
    outcome = run_import(spec)
    assert read_labels(database, spec.dataset) == {"0.png": "a|b", "1.png": "a", "5.png": "1|b"}
    assert outcome.added_per_class == {"1": 1, "a": 2, "b": 2}
    assert [one.reason for one in outcome.rejected] == [
        "empty label",
        "the class name 'a|b' holds '|', which stands between labels",
        "'label' is no single value",
    ]


def test_one_list_among_single_labels_is_one_rejection(spec: ImportSpec, pictures: Path) -> None:
    write_lines(pictures, "a", "b", ["a", "b"])
    outcome = run_import(spec)
    assert (outcome.task, outcome.added) == ("image_classification", 2)
    assert [one.reason for one in outcome.rejected] == [
        "several labels, where the first has one: choose labels: several"
    ]


def test_single_labels_into_a_dataset_of_several(
    spec: ImportSpec, pictures: Path, tmp_path: Path, database: Any
) -> None:
    write_lines(pictures, ["b", "a"], ["a"])
    run_import(spec)
    (pictures / "labels.jsonl").unlink()
    for label in ("a", "c", "a|b"):
        (pictures / label).mkdir()
        (pictures / label / "new.png").write_bytes(make_picture(1, ord(label[-1]) + len(label)))
    outcome = run_import(spec)
    assert outcome.task == "image_multilabel"
    assert outcome.added_per_class == {"a": 1, "c": 1}
    told = {one.name: one.reason for one in outcome.rejected}
    assert "the class name 'a|b' holds '|'" in told["a|b/new.png"]
    assert database["datasets"].find_one({"_id": spec.dataset})["classes"] == ["a", "b", "c"]


def test_several_labels_into_a_dataset_of_one_are_refused(
    spec: ImportSpec, several: ImportSpec, pictures: Path, database: Any
) -> None:
    write_csv(pictures, "a", "b")
    run_import(spec.model_copy(update={"title": "Old"}))
    # As a document of before there were tasks.
    database["datasets"].update_one({"_id": spec.dataset}, {"$unset": {"task": ""}})
    before = read_labels(database, spec.dataset)
    write_csv(pictures, "a|b", "b", "a|c")
    with pytest.raises(UserError, match=r"has one\. Import it into a dataset of another name"):
        run_import(several.model_copy(update={"title": "New"}))
    assert read_labels(database, spec.dataset) == before
    assert database["datasets"].find_one({"_id": spec.dataset})["title"] == "Old"


def test_folders_tell_one_label(several: ImportSpec, import_root: Path) -> None:
    for label in "ab":
        (import_root / label).mkdir()
        (import_root / label / "1.png").write_bytes(make_picture(0, ord(label)))
    with pytest.raises(UserError, match="a folder tells one label a picture"):
        run_import(several)
