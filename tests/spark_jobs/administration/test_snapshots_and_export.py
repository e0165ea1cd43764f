"""Comparing snapshots, and writing pictures out again."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from serving.job.errors import UserError
from serving.job.samples import delete_sample, read_sample, relabel_sample
from spark_jobs.administration.diff_snapshots import diff_snapshots
from spark_jobs.administration.export import Folder, export_samples
from spark_jobs.administration.paths import LABELS_NAME
from spark_jobs.administration.spec import DiffSnapshotsSpec, ExportSpec
from tests.spark_jobs.administration.conftest import MakeSnapshot
from tests.spark_jobs.tiny import CLASSES

MakeExport = Callable[..., ExportSpec]


@pytest.fixture
def make_export(imported: str, tmp_path: Path) -> MakeExport:
    def make(**changes: Any) -> ExportSpec:
        fields: dict[str, Any] = {
            "output_uri": (tmp_path / "job").as_uri(),
            "dataset": imported,
            "raw_uri": (tmp_path / "raw").as_uri(),
            "snapshots_uri": (tmp_path / "snapshots").as_uri(),
            "target_uri": (tmp_path / "my export").as_uri(),
        }
        return ExportSpec(**fields | changes)

    return make


def list_hashes(database: Any, dataset: str) -> list[str]:
    found = database["samples"].find({"dataset": dataset}).sort("name", 1)
    return [sample["sha256"] for sample in found]


def read_tree(folder: Path) -> dict[str, bytes]:
    """All but the table of labels, which is no picture."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LABELS_NAME
    }


def test_diff_lists_what_changed(
    imported: str, make_snapshot: MakeSnapshot, tmp_path: Path, database: Any
) -> None:
    first, second, *others = list_hashes(database, imported)
    sides = dict.fromkeys(others, "train")
    old = make_snapshot({**sides, first: "test"})
    relabel_sample(database, read_sample(database, imported, others[0]), "键盘", "me")
    new = make_snapshot({**sides, second: "test"})
    spec = DiffSnapshotsSpec(
        output_uri="file:///x",
        snapshots_uri=(tmp_path / "snapshots").as_uri(),
        old=old,
        new=new,
    )
    found = diff_snapshots(spec)
    assert [row.sha256 for row in found.added] == [second]
    assert [row.sha256 for row in found.removed] == [first]
    (change,) = found.relabelled
    assert (change.sha256, change.old, change.new) == (others[0], CLASSES[0], "键盘")
    with pytest.raises(UserError, match="is not there any more"):
        diff_snapshots(spec.model_copy(update={"old": "f" * 20}))


def test_export_gives_back_what_was_imported(
    make_export: MakeExport, import_root: Path, tmp_path: Path
) -> None:
    outcome = export_samples(make_export())
    assert (outcome.samples, outcome.written, outcome.missing) == (9, 9, ())
    assert read_tree(tmp_path / "my export") == read_tree(import_root)


def test_export_leaves_out_what_is_not_active(
    make_export: MakeExport, imported: str, tmp_path: Path, database: Any
) -> None:
    gone = read_sample(database, imported, list_hashes(database, imported)[0])
    delete_sample(database, gone, "me")
    assert export_samples(make_export()).written == 8
    assert not (tmp_path / "my export" / gone.name).exists()


def test_export_of_a_snapshot_keeps_sides_and_old_labels(
    make_export: MakeExport,
    make_snapshot: MakeSnapshot,
    imported: str,
    tmp_path: Path,
    database: Any,
) -> None:
    first, second, *_ = list_hashes(database, imported)
    name = make_snapshot({first: "test", second: "train"})
    relabel_sample(database, read_sample(database, imported, first), "键盘", "me")
    outcome = export_samples(make_export(snapshot_id=name))
    assert outcome.written == 2
    assert set(read_tree(tmp_path / "my export")) == {
        f"test/{CLASSES[0]}/000.png",
        f"train/{CLASSES[0]}/001.png",
    }


def test_export_goes_on_where_it_ended(
    make_export: MakeExport, import_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One call is the table's.
    write, calls = Folder.write, iter(range(1 + 4))

    def die_soon(self: Folder, parts: tuple[str, ...], content: bytes) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        write(self, parts, content)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "write", die_soon)
        with pytest.raises(KeyboardInterrupt):
            export_samples(make_export())
    left = tmp_path / "my export" / ".partial-of-a-killed-one"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    outcome = export_samples(make_export())
    assert (outcome.already_there, outcome.written) == (4, 5)
    assert read_tree(tmp_path / "my export") == read_tree(import_root)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_export_overwrites_nothing(make_export: MakeExport, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "my export" / CLASSES[0] / "000.png"
    mine.parent.mkdir(parents=True)
    if kind == "file":
        mine.write_bytes(b"mine")
    else:
        mine.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"000.png is there and is not what would be written"):
        export_samples(make_export())
    assert len(list(mine.parent.iterdir())) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_export_follows_no_link_out_of_its_folder(make_export: MakeExport, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "my export").mkdir()
    (tmp_path / "my export" / CLASSES[1]).symlink_to(outside)
    with pytest.raises(UserError, match="it is no folder"):
        export_samples(make_export())
    assert not list(outside.iterdir())


def test_export_says_what_is_gone_or_damaged(
    make_export: MakeExport, imported: str, tmp_path: Path, database: Any
) -> None:
    lost, damaged, _ = sorted((tmp_path / "raw").iterdir())
    lost.unlink()
    table = pq.read_table(damaged)
    index = table.schema.get_field_index("content")
    changed = [b"!", *table["content"].to_pylist()[1:]]
    pq.write_table(table.set_column(index, table.schema.field(index), [changed]), damaged)
    outcome = export_samples(make_export())
    assert (outcome.samples, outcome.written, len(outcome.missing)) == (9, 5, 4)
    assert sorted(one.reason.split(":")[0] for one in outcome.missing) == [
        "its bytes are not in the raw segments any more",
        "its bytes are not in the raw segments any more",
        "its bytes are not in the raw segments any more",
        "its bytes are not those that were imported",
    ]
