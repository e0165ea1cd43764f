"""A segment that is gone: importing again brings its bytes back, and the etl has them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from serving.job import segments, store
from serving.job.samples import Sample, delete_sample
from spark_jobs.etl import run_etl
from spark_jobs.importing import sorting
from spark_jobs.importing.job import run_import
from spark_jobs.importing.ledger import Ledger, NewSample
from spark_jobs.report_models import ImportReport
from spark_jobs.spec import ImportSpec
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.tiny import CLASSES, make_picture, write_tree


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 20_000)
    monkeypatch.setattr(sorting, "BATCH", 4)


def read_segments(database: Any, dataset: str) -> dict[str, str]:
    return {one["sha256"]: one["segment"] for one in database["samples"].find({"dataset": dataset})}


@pytest.mark.usefixtures("small_segments")
def test_an_import_brings_lost_bytes_back(
    spec: ImportSpec, import_root: Path, tmp_path: Path, database: Any, make_spec: MakeSpec
) -> None:
    write_tree(import_root, per_class=7)
    run_import(spec)
    before = read_segments(database, spec.dataset)
    ((gone, _),) = Counter(before.values()).most_common(1)
    lost = {sha for sha, segment in before.items() if segment == gone}
    assert 2 < len(lost) < len(before)
    (tmp_path / "raw" / Path(gone).name).unlink()
    # What a person deleted does not come back.
    dropped = min(lost)
    document = database["samples"].find_one({"_id": f"{spec.dataset}/{dropped}"})
    delete_sample(database, Sample.model_validate(document), "me")
    # One of the lost pictures stands in a second folder now.
    other = database["samples"].find_one({"_id": f"{spec.dataset}/{max(lost)}"})
    (import_root / "z").mkdir()
    (import_root / other["name"]).rename(import_root / "z" / "moved.png")
    outcome = run_import(spec)
    assert (outcome.read, outcome.added, outcome.already_there, outcome.conflicts) == (21, 0, 20, 1)
    assert outcome.restored == len(lost) - 1
    report = store.read_model(store.join(spec.output_uri, "import_report.json"), ImportReport)
    assert report.restored == outcome.restored
    after = read_segments(database, spec.dataset)
    assert {sha for sha in before if before[sha] != after[sha]} == lost - {dropped}
    assert run_import(spec).restored == 0
    assert read_segments(database, spec.dataset) == after
    etl = run_etl(make_spec())
    assert (etl.rejected, sum(sum(by.values()) for by in etl.counts.values())) == (0, 19)


def test_bytes_that_another_import_brought_back_stay_where_they_are(
    database: Any, dataset: str
) -> None:
    ledger = Ledger(database, dataset, "tester")
    new = NewSample("s1", "s1", "a", None, None, 1)
    ledger.add([new], "raw/old")
    assert ledger.restore({"s1": "raw/old"}, "raw/new") == 1
    assert ledger.restore({"s1": "raw/old"}, "raw/late") == 0
    assert read_segments(database, dataset) == {"s1": "raw/new"}


def test_a_batch_with_the_same_lost_picture_twice(
    spec: ImportSpec, import_root: Path, tmp_path: Path
) -> None:
    write_tree(import_root, per_class=1)
    run_import(spec)
    for path in (tmp_path / "raw").iterdir():
        path.unlink()
    (import_root / CLASSES[0] / "again.png").write_bytes(make_picture(0, 0))
    outcome = run_import(spec)
    assert (outcome.already_there, outcome.restored) == (4, 3)


def test_what_a_person_deleted_is_told_apart(
    spec: ImportSpec, import_root: Path, database: Any
) -> None:
    write_tree(import_root, per_class=2)
    assert run_import(spec).notes == ()
    sample = Sample.model_validate(database["samples"].find_one({"dataset": spec.dataset}))
    delete_sample(database, sample, "tester")
    outcome = run_import(spec)
    assert (outcome.already_there, outcome.deleted) == (6, 1)
    assert "deleted by a person" in " ".join(outcome.notes)
