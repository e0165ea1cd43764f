"""Names that break what does not escape them, from a disk and from HDFS."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from serving.job import store
from spark_jobs.importing.detecting import find_layout
from spark_jobs.importing.job import run_import
from spark_jobs.importing.reading import read_picture
from spark_jobs.spec import ImportSpec, LabelFields
from tests.spark_jobs.tiny import make_picture

NAMES = (
    "with space.png",
    "'single' and \"double\".png",
    "new\nline.png",
    "tab\tand\rreturn.png",
    "📷 emoji 👩‍🔬.png",
    "percent %41%2F and #hash?query&x=1;y.png",
    "#LATEST",
    "back\\slash.png",
    "no ending",
    "-rf",
    "$HOME `id` $(id).png",
    "é" * 90 + ".png",
    "x" * 196 + ".png",
)


def test_every_name_is_kept(
    import_root: Path,
    tmp_path: Path,
    dataset: str,
    database: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for label in ("a", "new\nline 'class'"):
        (import_root / label).mkdir()
    for i, name in enumerate(NAMES):
        (import_root / "a" / name).write_bytes(make_picture(0, i))
    (import_root / "new\nline 'class'" / "bro\nken").write_bytes(b"hello")
    (import_root / "new\nline 'class'" / "same").write_bytes(make_picture(0, 0))
    (import_root / "a" / os.fsdecode(b"\xff latin.png")).write_bytes(make_picture(1, 0))
    spec = ImportSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        source_uri=import_root.as_uri(),
        raw_uri=(tmp_path / "raw").as_uri(),
    )
    outcome = run_import(spec)
    assert (outcome.added, outcome.conflicts, len(outcome.rejected)) == (len(NAMES) + 1, 1, 1)
    (segment,) = (tmp_path / "raw").iterdir()
    kept = {row["name"]: row["content"] for row in pq.read_table(segment).to_pylist()}
    # The dispute is between this one and its copy, whichever came first.
    kept.pop("new\nline 'class'/same", None)
    expected = {f"a/{name}": make_picture(0, i) for i, name in enumerate(NAMES)}
    assert {**expected, **kept} == {**expected, "a/\\xff latin.png": make_picture(1, 0)}
    assert len(kept) == len(NAMES) + 1
    said = capsys.readouterr().out
    assert "rejected: new\\nline 'class'/bro\\nken: not an image" in said


@pytest.fixture
def hdfs_folder() -> Iterator[str]:
    address = os.environ.get(store.WEBHDFS_VARIABLE, "")
    if not address:
        pytest.skip(f"{store.WEBHDFS_VARIABLE} is not set")
    requests.get(f"{address}/webhdfs/v1/?op=GETFILESTATUS", timeout=3).raise_for_status()
    uri = f"hdfs:///tmp/modelmill-test-{uuid.uuid4().hex}"
    yield uri
    store.delete(uri)


def test_the_same_from_hdfs(hdfs_folder: str) -> None:
    target, root = store.open_store(hdfs_folder)
    # HDFS itself refuses names with a slash, a colon or a line break.
    names = [name for name in NAMES if not set(name) & set(":\n\r\\")]
    for i, name in enumerate(names):
        target.write(f"{root}/{'ab'[i % 2]}/{name}", make_picture(0, i), overwrite=False)
    layout = find_layout(f"{hdfs_folder}/", LabelFields())
    read = {item.name: read_picture(layout.tree, item) for item in layout.items()}
    assert {name: p.content for name, p in read.items()} == {
        f"{'ab'[i % 2]}/{name}": make_picture(0, i) for i, name in enumerate(names)
    }
    rows = [f'{{"file": "{"ab"[i % 2]}/with space.png", "label": "x"}}' for i in range(2)]
    rows += ['{"file": "../../etc/x.png", "label": "y"}', '{"file": "a", "label": "y"}']
    target.write(f"{root}/labels.jsonl", "\n".join(rows).encode(), overwrite=False)
    table = find_layout(hdfs_folder, LabelFields())
    assert table.found.startswith("table labels.jsonl")
    assert find_layout(f"{hdfs_folder}/labels.jsonl", LabelFields()).found == table.found
    assert [read_picture(table.tree, item).rejection for item in table.items()] == [
        "",
        "there is no such file",
        "a path with '..', which leaves the table's folder",
        "not a regular file",
    ]
