"""./modelmill delete; and the whole way from an import to a purge, through real jobs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.conftest import Run, insert_sample, make_png

CAT, DOG = "c" * 64, "d" * 64


@pytest.fixture
def pets(database: Any, dataset: str) -> str:
    insert_sample(database, dataset, CAT, "cat")
    insert_sample(database, dataset, DOG, "dog")
    return dataset


def read_states(database: Any, dataset: str) -> dict[str, str]:
    found = database["samples"].find({"dataset": dataset})
    return {one["sha256"]: one["state"] for one in found}


def test_delete_leaves_a_tombstone(run: Run, pets: str, database: Any) -> None:
    done = run("delete", "--dataset", pets, CAT, "cat/cccc.png", "--yes", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["deleted"], answer["purged"]) == (1, 0)
    assert read_states(database, pets) == {CAT: "deleted", DOG: "active"}
    last = database["samples"].find_one({"_id": f"{pets}/{CAT}"})["history"][-1]
    assert (last["label"], last["state"]) == ("cat", "deleted")
    again = json.loads(run("delete", "--dataset", pets, CAT, "--yes", "--json").out)
    assert (again["deleted"], again["already_deleted"]) == (0, 1)
    run("relabel", "--dataset", pets, CAT, "cat")
    assert read_states(database, pets)[CAT] == "active"


def test_nothing_happens_unasked(run: Run, pets: str, database: Any) -> None:
    done = run("delete", "--dataset", pets, "--all")
    assert done.code == 1
    assert "All 2 samples" in done.err
    assert "add --yes" in done.err
    assert set(read_states(database, pets).values()) == {"active"}


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_asked(
    run: Run,
    pets: str,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer.strip())
    assert run("delete", "--dataset", pets, "--all").code == code


def test_one_unknown_sample_deletes_none(run: Run, pets: str, database: Any) -> None:
    assert run("delete", "--dataset", pets, CAT, "0" * 64, "--yes").code == 1
    assert set(read_states(database, pets).values()) == {"active"}


def read_tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("named", [(), (CAT, "--all")])
def test_an_empty_list_does_not_mean_everything(
    run: Run, pets: str, database: Any, named: tuple[str, ...]
) -> None:
    done = run("delete", "--dataset", pets, *named, "--purge", "--yes")
    assert (done.code, "--all" in done.err) == (2, True)
    assert not database["samples"].count_documents({"dataset": pets, "state": "deleted"})


def test_from_import_to_purge(
    run: Run, home: Path, dataset: str, tmp_path: Path, database: Any
) -> None:
    for number, name in enumerate(("a/1.png", "a/2.png", "b/3.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(40 * number))
    (home / "scratch").mkdir()
    assert run("import", str(tmp_path / "photos"), "--dataset", dataset).code == 0
    assert run("relabel", "--dataset", dataset, "a/2.png", "b").code == 0
    exported = tmp_path / "out"
    assert run("export", "--dataset", dataset, str(exported)).code == 0
    assert set(read_tree(exported)) == {"a/1.png", "b/2.png", "b/3.png", "labels.csv"}
    assert read_tree(exported)["b/2.png"] == make_png(40)
    done = run("delete", "--dataset", dataset, "a/1.png", "--purge", "--yes", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["purged"] == 1
    raw = b"".join(read_tree(tmp_path / "hdfs" / "modelmill" / "raw").values())
    assert make_png(0) not in raw
    assert make_png(80) in raw
    done = run("relabel", "--dataset", dataset, "a/1.png", "b")
    assert (done.code, "was purged" in done.err) == (1, True)
    (one,) = [
        d for d in json.loads(run("datasets", "--json").out)["datasets"] if d["name"] == dataset
    ]
    assert (one["active"], one["deleted"], one["classes"]) == (2, 1, ["a", "b"])
