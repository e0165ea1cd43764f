"""A dataset of nine pictures in three segments."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_jobs.importing.items import Item
from spark_jobs.importing.job import run_import
from spark_jobs.importing.reading import Picture, read_picture
from spark_jobs.importing.source import Tree
from spark_jobs.snapshots import LABELS, write_snapshot
from spark_jobs.spec import ImportSpec
from tests.spark_jobs.tiny import write_tree

MakeSnapshot = Callable[[dict[str, str]], str]


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
    monkeypatch.setattr("spark_jobs.importing.segments.SEGMENT_BYTES", int(2.5 * largest))
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
