"""Snapshots: named by their rows, written once."""

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from serving.bundle.manifest import ONE, SEVERAL
from serving.job import store
from spark_jobs.sides import SIDES
from spark_jobs.snapshots import (
    LABELS,
    LABELS_FILE,
    Row,
    SnapshotManifest,
    snapshot_id,
    write_snapshot,
)

TEXT = st.text(max_size=5)
ROWS = st.lists(
    st.tuples(TEXT, TEXT, st.none() | TEXT, TEXT), unique_by=lambda row: row[0], max_size=8
)


@given(ROWS, st.randoms(use_true_random=False))
def test_id_is_the_same_in_any_order(rows: list[Row], chance: random.Random) -> None:
    shuffled = rows.copy()
    chance.shuffle(shuffled)
    assert snapshot_id(rows) == snapshot_id(shuffled)


@given(ROWS, ROWS)
def test_other_rows_have_another_id(one: list[Row], other: list[Row]) -> None:
    assert (snapshot_id(one) == snapshot_id(other)) == (set(one) == set(other))


def test_id_is_the_same_on_any_machine() -> None:
    rows: list[Row] = [("d/1", "键盘", None, "train"), ("d/2", "<b>", "g", "test")]
    assert snapshot_id(rows) == "0093472edbfef0ea33cb"
    assert snapshot_id([("d/1", "键盘", "", "train"), rows[1]]) != snapshot_id(rows)


def make_labels(side: str = "train") -> pa.Table:
    rows = [
        {"sha256": "b", "label": "键盘", "side": side, "segment": "file:///s", "name": "b.png"},
        {"sha256": "a", "label": "<b>", "side": "test", "segment": "file:///s", "name": "a.png"},
    ]
    return pa.Table.from_pylist(rows, LABELS)


def test_several_labels_count_under_each(tmp_path: Path) -> None:
    uri = (tmp_path / "snapshots").as_uri()
    labels = make_labels()
    names = pa.array(["<b>|键盘", "<b>"], pa.string())
    labels = labels.set_column(labels.schema.get_field_index("label"), "label", names)
    several = write_snapshot(uri, "several", labels, SEVERAL)
    assert (several.task, several.classes, several.samples) == (SEVERAL, ("<b>", "键盘"), 2)
    assert several.counts == {
        "train": {"<b>": 1, "键盘": 1},
        "val": {"<b>": 0, "键盘": 0},
        "test": {"<b>": 1, "键盘": 0},
    }
    assert [several.count_side(side) for side in SIDES] == [1, 0, 1]
    # Where a sample has one label, a bar is just a sign; the id tells rows, whatever they mean.
    one = write_snapshot((tmp_path / "other").as_uri(), "several", labels)
    assert (one.task, one.classes) == (ONE, ("<b>", "<b>|键盘"))
    assert one.snapshot_id == several.snapshot_id


def test_older_manifests_tell_their_sides(tmp_path: Path) -> None:
    made = write_snapshot((tmp_path / "snapshots").as_uri(), "d", make_labels())
    content = made.model_dump(mode="json", exclude={"task", "sides"})
    older = SnapshotManifest.model_validate(content)
    assert older.task == ONE
    assert [older.count_side(side) for side in SIDES] == [1, 0, 1]


def test_written_once_and_readable_without_spark(tmp_path: Path) -> None:
    uri = (tmp_path / "snapshots").as_uri()
    first = write_snapshot(uri, "d", make_labels())
    again = write_snapshot(uri, "d", make_labels())
    assert again == first
    assert first.classes == ("<b>", "键盘")
    assert first.counts == {
        "train": {"<b>": 0, "键盘": 1},
        "val": {"<b>": 0, "键盘": 0},
        "test": {"<b>": 1, "键盘": 0},
    }
    content = store.read_bytes(store.join(uri, first.snapshot_id, LABELS_FILE))
    table = pq.read_table(io.BytesIO(content))
    assert table.column_names == LABELS.names
    assert table["sha256"].to_pylist() == ["a", "b"]
    assert write_snapshot(uri, "d", make_labels("val")).snapshot_id != first.snapshot_id
    assert write_snapshot(uri, "other", make_labels()).snapshot_id != first.snapshot_id
