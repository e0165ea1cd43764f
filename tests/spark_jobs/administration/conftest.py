"""A dataset of nine pictures in three segments."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.job.samples import Sample, delete_sample
from spark_jobs.administration.export import export_samples
from spark_jobs.administration.spec import ExportSpec, PurgeSpec
from spark_jobs.importing.items import Item
from spark_jobs.importing.job import run_import
from spark_jobs.importing.reading import Picture, read_picture
from spark_jobs.importing.source import Tree
from spark_jobs.snapshots import LABELS, write_snapshot
from spark_jobs.spec import ImportSpec
from tests.spark_jobs.tiny import write_tree

MakeSnapshot = Callable[[dict[str, str]], str]
MakePurge = Callable[..., PurgeSpec]


def read_serially(tree: Tree, items: Iterator[Item], processes: int) -> Iterator[Picture]:
    """Nine pictures are read before the first process of a pool is up."""
    return (read_picture(tree, item) for item in items)


@pytest.fixture
def imported(
    import_root: Path,
    tmp_path: Path,
    dataset: str,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The dataset's name; each class, three pictures of about one size, has its own segment."""
    write_tree(import_root, per_class=3)
    largest = max(path.stat().st_size for path in import_root.rglob("*.png"))
    monkeypatch.setattr("serving.job.segments.SEGMENT_BYTES", int(2.5 * largest))
    monkeypatch.setattr("spark_jobs.importing.job.read_pictures", read_serially)
    run_import(
        ImportSpec(
            output_uri=(tmp_path / "out").as_uri(),
            dataset=dataset,
            source_uri=import_root.as_uri(),
            raw_uri=(tmp_path / "raw").as_uri(),
        )
    )
    assert len(list((tmp_path / "raw").iterdir())) == 3
    return dataset


@pytest.fixture
def make_snapshot(tmp_path: Path, imported: str, database: Any) -> MakeSnapshot:
    """sha256 → side of the samples to take, as they are labelled now; its id."""

    def make(sides: dict[str, str]) -> str:
        rows = [
            {**{name: sample[name] for name in LABELS.names}, "side": sides[sample["sha256"]]}
            for sample in database["samples"].find({"dataset": imported})
            if sample["sha256"] in sides
        ]
        table = pa.Table.from_pylist(rows, LABELS)
        uri = (tmp_path / "snapshots").as_uri()
        manifest = write_snapshot(uri, imported, table)
        database["snapshots"].update_one(
            {"_id": manifest.snapshot_id}, {"$set": {"dataset": imported}}, upsert=True
        )
        return manifest.snapshot_id

    return make


@pytest.fixture
def samples(imported: str, database: Any) -> list[Sample]:
    """Three classes of three, by name."""
    found = database["samples"].find({"dataset": imported}).sort("name", 1)
    return [Sample.model_validate(document) for document in found]


@pytest.fixture
def make_purge(imported: str, tmp_path: Path, database: Any) -> MakePurge:
    """Tombstones for these, and the job that purges them."""

    def make(*samples: Sample) -> PurgeSpec:
        for sample in samples:
            delete_sample(database, sample, "me")
        return PurgeSpec(
            output_uri=(tmp_path / "job").as_uri(),
            dataset=imported,
            raw_uri=(tmp_path / "raw").as_uri(),
            snapshots_uri=(tmp_path / "snapshots").as_uri(),
            sha256s=tuple(sample.sha256 for sample in samples),
        )

    return make


def read_raw(tmp_path: Path) -> dict[str, list[str]]:
    """Segment's URI → hashes in it."""
    return {
        path.as_uri(): pq.read_table(path)["sha256"].to_pylist()
        for path in (tmp_path / "raw").iterdir()
    }


def check_rest(tmp_path: Path, database: Any, dataset: str, gone: set[str]) -> None:
    """No purged byte is left, nothing is left over, and every other sample is where it says."""
    raw = read_raw(tmp_path)
    there = [sha for hashes in raw.values() for sha in hashes]
    assert len(there) == len(set(there)) == 9 - len(gone)
    for document in database["samples"].find({"dataset": dataset}):
        if document["sha256"] in gone:
            assert (document["segment"], document["state"]) == ("", "deleted")
        else:
            assert document["sha256"] in raw[document["segment"]]
    spec = ExportSpec(
        output_uri="file:///x",
        dataset=dataset,
        raw_uri=(tmp_path / "raw").as_uri(),
        snapshots_uri=(tmp_path / "snapshots").as_uri(),
        target_uri=(tmp_path / "exported").as_uri(),
    )
    outcome = export_samples(spec)
    assert (outcome.samples, outcome.missing) == (9 - len(gone), ())
