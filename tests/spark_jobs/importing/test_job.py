"""The import job against a real database and real files."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from serving.job import segments
from serving.job.errors import UserError
from serving.job.samples import Sample, delete_sample, relabel_sample
from spark_jobs.importing import sorting
from spark_jobs.importing.job import run_import
from spark_jobs.importing.ledger import Known, Ledger
from spark_jobs.spec import ImportOutcome, ImportSpec
from tests.spark_jobs.tiny import CLASSES, encode, make_picture, write_tree


@pytest.fixture
def spec(import_root: Path, tmp_path: Path, dataset: str, database: Any) -> ImportSpec:
    return ImportSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        title="Signs",
        source_uri=import_root.as_uri(),
        raw_uri=(tmp_path / "raw").as_uri(),
        actor="tester",
    )


def check_sum(outcome: ImportOutcome) -> None:
    assert outcome.read == (
        outcome.added + outcome.already_there + outcome.conflicts + len(outcome.rejected)
    )


def segment_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "raw").glob("*"))


def test_pictures_become_samples(
    spec: ImportSpec, import_root: Path, tmp_path: Path, database: Any
) -> None:
    write_tree(import_root, per_class=3)
    (import_root / CLASSES[0] / "notes.txt").write_text("hello")
    outcome = run_import(spec)
    check_sum(outcome)
    assert outcome.added_per_class == dict.fromkeys(CLASSES, 3)
    assert [r.name for r in outcome.rejected] == [f"{CLASSES[0]}/notes.txt"]
    samples = list(database["samples"].find({"dataset": spec.dataset}))
    assert len(samples) == 9
    (segment,) = segment_files(tmp_path)
    raw = {row["sha256"]: row for row in pq.read_table(segment).to_pylist()}
    for sample in samples:
        assert sample["_id"] == f"{spec.dataset}/{sample['sha256']}"
        row = raw[sample["sha256"]]
        assert row["content"] == (import_root / sample["name"]).read_bytes()
        assert (sample["segment"], sample["size_bytes"]) == (segment.as_uri(), len(row["content"]))
        assert (sample["side"], sample["group"], sample["split"]) == (None, None, None)
        (entry,) = sample["history"]
        assert (entry["label"], entry["state"], entry["by"]) == (
            sample["label"],
            "active",
            "tester",
        )
    document = database["datasets"].find_one({"_id": spec.dataset})
    assert (document["title"], document["classes"]) == ("Signs", sorted(CLASSES))


def test_again_changes_nothing(
    spec: ImportSpec, import_root: Path, tmp_path: Path, database: Any
) -> None:
    write_tree(import_root, per_class=3)
    shutil.copy(import_root / CLASSES[0] / "000.png", import_root / CLASSES[1] / "same.png")
    first = run_import(spec)
    before = list(database["samples"].find({"dataset": spec.dataset}))
    files = segment_files(tmp_path)
    again = run_import(spec)
    check_sum(again)
    assert (again.added, again.already_there) == (0, first.added)
    assert (again.conflicts, again.conflicting) == (first.conflicts, first.conflicting)
    assert list(database["samples"].find({"dataset": spec.dataset})) == before
    assert segment_files(tmp_path) == files


def test_same_bytes_under_two_labels_are_disputed(
    spec: ImportSpec, import_root: Path, database: Any
) -> None:
    write_tree(import_root, per_class=2)
    shutil.copy(import_root / CLASSES[0] / "000.png", import_root / CLASSES[1] / "same.png")
    outcome = run_import(spec)
    check_sum(outcome)
    assert (outcome.read, outcome.added, outcome.conflicts) == (7, 6, 1)
    assert outcome.conflicting == (f"{CLASSES[1]}/same.png",)
    (sample,) = database["samples"].find({"dataset": spec.dataset, "state": "disputed"})
    assert sample["label"] == CLASSES[0]
    assert [entry["state"] for entry in sample["history"]] == ["active", "disputed"]
    assert sample["history"][1]["claimed"] == CLASSES[1]


def test_first_split_of_the_same_file_is_kept(
    spec: ImportSpec, import_root: Path, database: Any
) -> None:
    write_tree(import_root / "train", per_class=2)
    write_tree(import_root / "test", per_class=1)
    outcome = run_import(spec)
    assert (outcome.read, outcome.added, outcome.already_there) == (9, 6, 3)
    assert database["samples"].distinct("split", {"dataset": spec.dataset}) == ["train"]
    # Within one import, and against what is there.
    assert (outcome.other_split, run_import(spec).other_split) == (3, 3)
    assert "another of train/, val/ and test/" in " ".join(outcome.notes)


def test_many_segments(
    spec: ImportSpec, import_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 10_000)
    monkeypatch.setattr(segments, "GROUP_ROWS", 2)
    monkeypatch.setattr(sorting, "BATCH", 4)
    write_tree(import_root, per_class=6)
    assert run_import(spec).added == 18
    tables = [pq.read_table(path) for path in segment_files(tmp_path)]
    assert len(tables) > 2
    assert sum(table.num_rows for table in tables) == 18


def test_two_imports_at_once_lose_nothing(
    spec: ImportSpec, import_root: Path, tmp_path: Path, database: Any
) -> None:
    write_tree(import_root, per_class=8)
    outcomes: list[ImportOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(run_import(spec))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome.added for outcome in outcomes) == 24
    assert sum(outcome.already_there for outcome in outcomes) == 24
    there = {
        (path.as_uri(), sha)
        for path in segment_files(tmp_path)
        for sha in pq.read_table(path)["sha256"].to_pylist()
    }
    samples = list(database["samples"].find({"dataset": spec.dataset}))
    assert len(samples) == 24
    assert all((s["segment"], s["sha256"]) in there for s in samples)


def test_a_second_label_by_another_import_meanwhile(
    spec: ImportSpec, import_root: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other import adds between our look and our write."""
    write_tree(import_root, per_class=1)
    run_import(spec)
    blind = Ledger.find
    unseen: list[dict[str, Known]] = [{}]
    monkeypatch.setattr(
        Ledger, "find", lambda self, hashes: unseen.pop() if unseen else blind(self, hashes)
    )
    (import_root / CLASSES[0] / "000.png").rename(import_root / CLASSES[1] / "moved.png")
    outcome = run_import(spec)
    check_sum(outcome)
    assert (outcome.added, outcome.already_there, outcome.conflicts) == (0, 2, 1)
    assert database["samples"].count_documents({"dataset": spec.dataset, "state": "disputed"}) == 1


def test_one_class_is_too_few_unless_the_dataset_has_others(
    spec: ImportSpec, import_root: Path
) -> None:
    write_tree(import_root, per_class=1, classes=CLASSES[:1])
    with pytest.raises(UserError, match="At least two classes"):
        run_import(spec)
    write_tree(import_root, per_class=1)
    run_import(spec)
    for name in CLASSES[1:]:
        shutil.rmtree(import_root / name)
    write_tree(import_root, per_class=2, classes=CLASSES[:1])
    assert run_import(spec).added == 1


def test_gif_and_jpeg_by_content(spec: ImportSpec, import_root: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        (import_root / name).mkdir()
        color = (255, 0, 0) if name == "a" else (0, 0, 255)
        for kind in ("JPEG", "GIF", "PNG"):
            content = encode(Image.new("RGB", (20, 30), color), kind)
            (import_root / name / f"{kind}.bin").write_bytes(content)
    (import_root / "a" / "jpeg called.png").write_bytes(make_picture(0, 1, "JPEG"))
    outcome = run_import(spec)
    assert (outcome.added, outcome.rejected) == (7, ())


def test_killed_between_segment_and_samples(
    spec: ImportSpec, import_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before stays unused; the next import is complete."""
    write_tree(import_root, per_class=2)

    def die(*_: object) -> set[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "add", die)
        with pytest.raises(KeyboardInterrupt):
            run_import(spec)
    assert len(segment_files(tmp_path)) == 1
    assert run_import(spec).added == 6
    assert len(segment_files(tmp_path)) == 2


def test_a_class_that_was_imported_with_blanks_stays_one(
    spec: ImportSpec, import_root: Path, database: Any
) -> None:
    """Imports once kept the blanks around a folder's name: that is no dispute."""
    write_tree(import_root, per_class=2, classes=("ash ", "oak"))
    run_import(spec)
    old = {"$set": {"label": "ash ", "history.0.label": "ash "}}
    database["samples"].update_many({"dataset": spec.dataset, "label": "ash"}, old)
    database["datasets"].update_one({"_id": spec.dataset}, {"$set": {"classes": ["ash ", "oak"]}})
    outcome = run_import(spec)
    assert (outcome.already_there, outcome.conflicts) == (4, 0)
    assert database["datasets"].find_one({"_id": spec.dataset})["classes"] == ["ash ", "oak"]


def test_what_a_person_decided_stays_when_the_folder_comes_again(
    spec: ImportSpec, import_root: Path, database: Any
) -> None:
    """Relabelled, resolved and deleted: the same files, still in their old folders, undo none."""
    write_tree(import_root, per_class=3)
    shutil.copy(import_root / CLASSES[0] / "000.png", import_root / CLASSES[1] / "same.png")
    run_import(spec)
    moved, disputed, gone = (
        Sample.model_validate(
            database["samples"].find_one({"dataset": spec.dataset, "name": f"{CLASSES[0]}/{name}"})
        )
        for name in ("001.png", "000.png", "002.png")
    )
    relabel_sample(database, moved, CLASSES[2], "me")
    relabel_sample(database, disputed, CLASSES[1], "me")
    delete_sample(database, gone, "me")
    shutil.copy(import_root / CLASSES[0] / "002.png", import_root / CLASSES[1] / "gone.png")
    (import_root / "misspelt").mkdir()
    shutil.copy(import_root / CLASSES[0] / "002.png", import_root / "misspelt" / "gone.png")
    before = list(database["samples"].find({"dataset": spec.dataset}))
    outcome = run_import(spec)
    assert (outcome.read, outcome.already_there, outcome.conflicts) == (12, 12, 0)
    (document,) = database["datasets"].find({"_id": spec.dataset})
    assert document["classes"] == sorted(CLASSES)
    assert list(database["samples"].find({"dataset": spec.dataset})) == before
