"""The sum that always holds, the report beside the outcome, and disputes until a person decides."""

import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from serving.job import store
from spark_jobs.importing import job, reading
from spark_jobs.importing.items import Item
from spark_jobs.importing.job import run_import
from spark_jobs.importing.ledger import Ledger, NewSample
from spark_jobs.importing.source import ROOTS_VARIABLE, Tree
from spark_jobs.report_models import ClassCount, Conflict, ImportReport
from spark_jobs.spec import ImportSpec, Rejection
from spark_jobs.tables import read_samples
from tests.spark_jobs.tiny import make_picture

PICTURES = [make_picture(0, seed) for seed in range(4)]
BROKEN = [b"", b"hello", PICTURES[0][:50]]
FILES = st.tuples(st.sampled_from("abc"), st.sampled_from([*PICTURES, *BROKEN]))


def spec_of(folder: Path, dataset: str) -> ImportSpec:
    return ImportSpec(
        output_uri=(folder / "out").as_uri(),
        dataset=dataset,
        source_uri=(folder / "import").as_uri(),
        raw_uri=(folder / "raw").as_uri(),
        actor="tester",
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, database: Any) -> None:
    """Read in this process: a pool of processes for each of many examples takes minutes."""

    def read(tree: Tree, items: "list[Item]", _: int) -> "list[reading.Picture]":
        return [reading.read_picture(tree, item) for item in items]

    monkeypatch.setattr(job, "read_pictures", read)
    monkeypatch.setenv(ROOTS_VARIABLE, tempfile.gettempdir())


@pytest.mark.usefixtures("here")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(files=st.lists(FILES, min_size=1, max_size=12), table=st.booleans(), odd=st.booleans())
def test_every_file_is_counted_once(
    database: Any, files: list[tuple[str, bytes]], table: bool, odd: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ["file,label", *(["gone.png,a", "../x.png,a", "0.png,", "1"] if odd else [])]
        for i, (label, content) in enumerate([*files, ("a", PICTURES[0]), ("b", PICTURES[1])]):
            place = folder / "import" / (f"{i}.png" if table else f"{label}/{i}.png")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            rows.append(f"{i}.png,{label}")
        if table:
            (folder / "import" / "labels.csv").write_text("\n".join(rows))
        elif odd:
            (folder / "import" / "stray.png").write_bytes(PICTURES[0])
        read = len(rows) - 1 if table else len(files) + 2 + odd
        claims = {(label, content) for label, content in files if content in PICTURES}
        claims |= {("a", PICTURES[0]), ("b", PICTURES[1])}
        spec = spec_of(folder, f"spark-{uuid.uuid4().hex[:8]}")
        first, again = run_import(spec), run_import(spec)
        for outcome in (first, again):
            parts = outcome.added + outcome.already_there + outcome.conflicts
            assert outcome.read == parts + len(outcome.rejected) == read
        assert (
            first.added
            == len({content for _, content in claims})
            == sum(first.added_per_class.values())
        )
        assert (again.added, again.conflicting) == (0, first.conflicting)
        assert again.rejected == first.rejected
        disputed = database["samples"].count_documents(
            {"dataset": spec.dataset, "state": "disputed"}
        )
        assert disputed == sum(
            len({label for label, c in claims if c == content}) > 1 for content in PICTURES
        )


@pytest.mark.usefixtures("here")
def test_report_lies_beside_the_outcome(tmp_path: Path, dataset: str) -> None:
    place = tmp_path / "import"
    place.mkdir()
    for i in range(3):
        (place / f"{i}.png").write_bytes(PICTURES[i])
    rows = ["0.png,a,g1", "1.png,b,g1", "1.png,b,g1", "0.png,b,", "2.png,c,", "9.png,c,"]
    (place / "labels.csv").write_text("\n".join(["file,label,group", *rows]))
    spec = spec_of(tmp_path, dataset)
    run_import(spec)
    report = store.read_model(store.join(spec.output_uri, "import_report.json"), ImportReport)
    assert report.source == place.as_uri()
    assert report.found == (
        "table labels.csv: picture from 'file', label from 'label', group from 'group'"
    )
    assert report.seconds > 0
    assert report.classes == (
        ClassCount(label="a", added=1, already_there=0, conflicts=0),
        ClassCount(label="b", added=1, already_there=1, conflicts=1),
        ClassCount(label="c", added=1, already_there=0, conflicts=0),
    )
    assert report.conflicts == (Conflict(name="0.png", claimed="b", label="a"),)
    assert report.rejected == (Rejection(name="9.png", reason="there is no such file"),)


@pytest.mark.usefixtures("here")
def test_groups_and_splits_of_a_table_are_kept(tmp_path: Path, dataset: str, database: Any) -> None:
    place = tmp_path / "import"
    place.mkdir()
    for i in range(2):
        (place / f"{i}.png").write_bytes(PICTURES[i])
    (place / "l.jsonl").write_text(
        '{"file": "0.png", "label": "a", "group": "g", "split": "val"}\n'
        '{"file": "1.png", "label": "b"}\n'
    )
    run_import(spec_of(tmp_path, dataset))
    found = database["samples"].find({"dataset": dataset}, sort=[("name", 1)])
    assert [(s["group"], s["split"]) for s in found] == [("g", "val"), (None, None)]


def test_disputed_samples_wait_for_a_person(
    spark: SparkSession, connector: None, database: Any, dataset: str
) -> None:
    ledger = Ledger(database, dataset, "tester")
    ledger.add([NewSample(sha, sha, "a", None, None, 1) for sha in ("s1", "s2", "s3")], "raw/1")
    ledger.dispute("s1", "b")
    samples = database["samples"]

    def active() -> dict[str, str]:
        later = datetime.now(UTC) + timedelta(seconds=5)
        rows = read_samples(spark, dataset, later, "file:///raw").collect()
        return {row["sha256"]: row["label"] for row in rows}

    def decide(sha: str, label: str, state: str) -> None:
        entry = {"at": datetime.now(UTC), "by": "expert", "label": label, "state": state}
        change = {"$set": {"label": label, "state": state}, "$push": {"history": entry}}
        samples.update_one({"_id": f"{dataset}/{sha}"}, change)

    assert active() == {"s2": "a", "s3": "a"}
    decide("s1", "b", "active")
    assert active() == {"s1": "b", "s2": "a", "s3": "a"}
    before = samples.find_one({"_id": f"{dataset}/s1"})
    for label in ("a", "b"):
        ledger.dispute("s1", label)
    assert samples.find_one({"_id": f"{dataset}/s1"}) == before, "a person has heard both"
    decide("s3", "a", "deleted")
    ledger.dispute("s3", "c")
    ledger.dispute("s1", "c")
    assert active() == {"s2": "a"}
    assert samples.find_one({"_id": f"{dataset}/s3"})["state"] == "deleted"
