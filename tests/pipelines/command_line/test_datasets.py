"""./modelmill datasets and relabel, against a real database."""

import json
from typing import Any

import pytest

from tests.pipelines.conftest import Run, insert_sample

CAT, DOG, FOX = "c" * 64, "d" * 64, "cccccccc" + "f" * 56


@pytest.fixture
def pets(database: Any, dataset: str) -> str:
    insert_sample(database, dataset, CAT, "cat")
    insert_sample(database, dataset, DOG, "dog")
    insert_sample(database, dataset, FOX, "dog", state="disputed")
    return dataset


def test_datasets_are_counted(run: Run, pets: str) -> None:
    done = run("datasets", "--json")
    assert done.code == 0, done.err
    (one,) = [d for d in json.loads(done.out)["datasets"] if d["name"] == pets]
    assert one == {
        "name": pets,
        "title": "Signs",
        "task": "image_classification",
        "active": 2,
        "disputed": 1,
        "deleted": 0,
        "classes": ["cat", "dog"],
        "last_import": "2026-01-02T00:00:00Z",
    }
    shown = run("datasets").out
    assert f"{pets}  (Signs)" in shown
    assert "2 active, 1 disputed, 0 deleted" in shown


def test_a_dataset_without_samples_is_listed(run: Run, database: Any, dataset: str) -> None:
    database["datasets"].insert_one({"_id": dataset, "title": dataset, "classes": []})
    assert "last import never" in run("datasets").out


@pytest.mark.parametrize("text", [CAT, CAT[:40], "cat/cccc.png"])
def test_relabel_appends(run: Run, pets: str, database: Any, text: str) -> None:
    done = run("relabel", "--dataset", pets, text, "dog", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["old_label"], answer["label"], answer["changed"]) == ("cat", "dog", True)
    sample = database["samples"].find_one({"_id": f"{pets}/{CAT}"})
    assert (sample["label"], sample["state"]) == ("dog", "active")
    first, second = sample["history"]
    assert first["label"] == "cat"
    assert (second["label"], second["state"]) == ("dog", "active")
    assert second["by"].endswith("(command line)")
    assert second["at"] > first["at"]
    again = json.loads(run("relabel", "--dataset", pets, text, "dog", "--json").out)
    assert again["changed"] is False


def test_relabel_decides_a_dispute(run: Run, pets: str, database: Any) -> None:
    done = run("relabel", "--dataset", pets, FOX, "dog")
    assert "'dog' (disputed) → 'dog'" in done.out
    assert database["samples"].find_one({"_id": f"{pets}/{FOX}"})["state"] == "active"


def test_new_classes_are_said_to_be_new(run: Run, pets: str, database: Any) -> None:
    done = run("relabel", "--dataset", pets, FOX, "dgo")
    assert done.code == 1
    assert "Did you mean 'dog'? For a class that is new, add --new-class." in done.err
    done = run("relabel", "--dataset", pets, FOX, "a fox", "--new-class")
    assert done.code == 0, done.err
    assert database["datasets"].find_one({"_id": pets})["classes"] == ["a fox", "cat", "dog"]


def test_several_labels(run: Run, pets: str, database: Any) -> None:
    database["datasets"].update_one({"_id": pets}, {"$set": {"task": "image_multilabel"}})
    assert "2 classes, several labels a sample: cat, dog" in run("datasets").out
    done = run("relabel", "--dataset", pets, DOG, "dog| cat", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["label"] == "cat|dog"
    done = run("relabel", "--dataset", pets, DOG, "cat|dgo")
    assert (done.code, "LABEL was 'dgo'" in done.err) == (1, True), done.err
    done = run("relabel", "--dataset", pets, DOG, "fox|cat", "--new-class")
    assert done.code == 0, done.err
    assert database["datasets"].find_one({"_id": pets})["classes"] == ["cat", "dog", "fox"]
    assert run("relabel", "--dataset", pets, DOG, "|").code == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c" * 8, ["means 2 samples", CAT, FOX]),
        ("c" * 7, ["first 8 digits"]),
        ("cccc.png", ["Did you mean 'cat/cccc.png'"]),
        ("cat/ccc.png", ["Did you mean 'cat/cccc.png'"]),
        ("0" * 64, ["holds no such sample"]),
    ],
)
def test_samples_that_are_not_one(run: Run, pets: str, text: str, words: list[str]) -> None:
    done = run("relabel", "--dataset", pets, text, "dog")
    assert done.code == 1
    assert not [word for word in words if word not in done.err], done.err


@pytest.mark.parametrize("label", ["", "  ", "a\0b", "x" * 201])
def test_labels_that_cannot_be(run: Run, pets: str, label: str) -> None:
    done = run("relabel", "--dataset", pets, CAT, label, "--new-class")
    assert (done.code, "LABEL was" in done.err) == (1, True)


def test_blanks_around_a_label_do_not_make_a_class(run: Run, pets: str, database: Any) -> None:
    """But for a class that an older import gave such a name."""
    assert run("relabel", "--dataset", pets, CAT, " dog ").code == 0
    assert run("relabel", "--dataset", pets, CAT, "fox ", "--new-class").code == 0
    database["datasets"].update_one({"_id": pets}, {"$push": {"classes": "old "}})
    assert run("relabel", "--dataset", pets, CAT, "old ").code == 0
    entries = database["samples"].find_one({"_id": f"{pets}/{CAT}"})["history"]
    assert [entry["label"] for entry in entries[-3:]] == ["dog", "fox", "old "]


def test_five_thousand_classes_stay_readable(run: Run, pets: str, database: Any) -> None:
    classes = [f"class {number:04}" for number in range(5000)]
    database["datasets"].update_one({"_id": pets}, {"$set": {"classes": classes}})
    wrong = run("relabel", "--dataset", pets, CAT, "class 444")
    assert "class 0000" in wrong.err
    assert "and 4,990 more" in wrong.err
    assert "Did you mean 'class " in wrong.err
    listed = run("datasets")
    assert "5000 classes: class 0000" in listed.out
    assert "and 4,980 more" in listed.out
    for said in (wrong.err, listed.out):
        assert "class 2500" not in said
    (answer,) = (
        one for one in json.loads(run("datasets", "--json").out)["datasets"] if one["name"] == pets
    )
    assert answer["classes"] == classes


def test_unknown_dataset(run: Run, pets: str) -> None:
    done = run("relabel", "--dataset", pets[:-1], CAT, "dog")
    assert done.code == 1
    assert f"Did you mean '{pets}'" in done.err


def test_purged_samples_stay_gone(run: Run, pets: str, database: Any) -> None:
    gone = {"$set": {"segment": "", "state": "deleted"}}
    database["samples"].update_one({"_id": f"{pets}/{CAT}"}, gone)
    done = run("relabel", "--dataset", pets, CAT, "dog")
    assert (done.code, "was purged" in done.err) == (1, True)
