"""Two runs on the samples that both were judged by; predictions of earlier versions, too."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.bundle.manifest import ONE as ONE_LABEL
from serving.bundle.manifest import SEVERAL, Task
from serving.job.errors import UserError
from serving.job.evaluation import Paired
from spark_jobs.administration.compare_runs import compare_runs
from spark_jobs.administration.spec import CompareRunsSpec, RunComparison

Rows = list[tuple[str, str, str]]
# sha256, label, predicted.
ONE: Rows = [
    ("a", "cat", "cat"),
    ("b", "cat", "dog"),
    ("c", "dog", "dog"),
    ("d", "dog", "dog"),
    ("moved", "cat", "cat"),
    ("only", "dog", "cat"),
]
OTHER: Rows = [
    ("a", "cat", "cat"),
    ("b", "cat", "cow"),
    ("c", "dog", "dog"),
    ("d", "dog", "cat"),
    ("moved", "dog", "dog"),
]


def write(folder: Path, rows: Rows, sides: list[str] | None = None) -> str:
    folder.mkdir()
    table = [
        {"sha256": sha, "name": f"{sha}.jpg", "label": label, "predicted": predicted}
        for sha, label, predicted in rows
    ]
    if sides:
        table = [{**row, "side": side} for row, side in zip(table, sides, strict=True)]
    for number, part in enumerate((table[:2], table[2:])):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(part), buffer)
        (folder / f"part-{number}.parquet").write_bytes(buffer.getvalue())
    (folder / "_SUCCESS").write_bytes(b"")
    return folder.as_uri()


def compare(tmp_path: Path, one: str, other: str, task: Task = ONE_LABEL) -> RunComparison:
    output = (tmp_path / "out").as_uri()
    return compare_runs(CompareRunsSpec(output_uri=output, one_uri=one, other_uri=other, task=task))


def test_compares_what_both_have_under_one_label(tmp_path: Path) -> None:
    sides = ["test", "test", "test", "test", "test", "test", "val"]
    one = write(tmp_path / "1", [*ONE, ("z", "cat", "dog")], sides)
    found = compare(tmp_path, one, write(tmp_path / "2", [*OTHER, ("z", "cat", "cat")]))
    assert (found.samples, found.one_samples, found.other_samples, found.relabelled) == (4, 6, 6, 1)
    assert found.paired == Paired(both=2, challenger_only=1, champion_only=0, neither=1)
    assert found.chance == 1.0
    cat, dog = found.classes
    assert (cat.label, cat.paired.samples, cat.paired.neither) == ("cat", 2, 1)
    assert (dog.label, dog.paired.challenger_only) == ("dog", 1)
    assert [(row.name, row.one, row.other) for row in found.differing] == [
        ("b.jpg", "dog", "cow"),
        ("d.jpg", "dog", "cat"),
    ]


def test_a_clear_difference_is_told(tmp_path: Path) -> None:
    right: Rows = [(f"{i:02}", "cat", "cat") for i in range(12)]
    wrong: Rows = [(sha, label, "dog") for sha, label, _ in right[:8]]
    one = write(tmp_path / "1", right)
    found = compare(tmp_path, one, write(tmp_path / "2", [*wrong, *right[8:]]))
    # Eight tosses, all heads, or all tails.
    assert found.chance == pytest.approx(2 / 2**8)


def test_each_of_several_labels_is_compared_on_its_own(tmp_path: Path) -> None:
    """Right is who says all labels and no other; a class is found, whatever is said beside it."""
    rows: Rows = [("a", "cat|dog", "cat|dog"), ("b", "cat|dog", "cat"), ("c", "cat", "cat|cow")]
    others: Rows = [("a", "cat|dog", "cat"), ("b", "cat|dog", "dog"), ("c", "cat", "")]
    one, other = write(tmp_path / "1", rows), write(tmp_path / "2", others)
    found = compare(tmp_path, one, other, SEVERAL)
    assert found.paired == Paired(both=0, challenger_only=1, champion_only=0, neither=2)
    cat, dog = found.classes
    assert (cat.label, dog.label) == ("cat", "dog")
    assert cat.paired == Paired(both=1, challenger_only=2, champion_only=0, neither=0)
    assert dog.paired == Paired(both=0, challenger_only=1, champion_only=1, neither=0)
    assert [(row.label, row.one, row.other) for row in found.differing][2] == ("cat", "cat|cow", "")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ([("x", "cat", "cat"), ("y", "cat", "cat"), ("w", "cat", "cat")], "share no sample"),
        ([("a", "dog", "cat"), ("y", "cat", "cat"), ("w", "cat", "cat")], "relabelled in between"),
    ],
)
def test_nothing_in_common_is_refused(tmp_path: Path, other: Rows, told: str) -> None:
    one = write(tmp_path / "1", ONE)
    with pytest.raises(UserError, match=told):
        compare(tmp_path, one, write(tmp_path / "2", other))
