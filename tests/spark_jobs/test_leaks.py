"""Who has learned from the test side, with literal rows."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.bundle.manifest import Lineage
from spark_jobs.leaks import Leaks, find_leaks, read_learned

Row = tuple[str, str | None, str]
LINEAGE = Lineage(
    dataset="boards",
    snapshot_id="5a",
    run_id="r",
    code_version="c",
    backbone="b",
    backbone_sha256="s",
    weights_licence="l",
    created_at="2025-03-01T02:00:00Z",
)


def rows(*given: Row) -> pa.Table:
    columns = list(zip(*given, strict=True)) or [(), (), ()]
    named = zip(("sha256", "group", "side"), columns, strict=True)
    return pa.table({name: pa.array(list(values), pa.string()) for name, values in named})


TODAY: tuple[Row, ...] = (
    ("a", None, "train"),
    ("b", "g", "train"),
    ("c", "g", "test"),
    ("d", None, "test"),
    ("e", None, "val"),
    ("f", "h", "test"),
)


@pytest.mark.parametrize(
    ("learned", "same", "copies"),
    [
        ([("a", None, "train"), ("e", None, "val")], set(), set()),
        ([("d", None, "train")], {"d"}, set()),
        ([("d", None, "val")], {"d"}, set()),
        ([("d", None, "test")], set(), set()),
        # By the name of the group then, of the group now, or its own bytes.
        ([("gone", "h", "train")], set(), {"f"}),
        ([("b", None, "train")], set(), {"c"}),
        ([("c", "g", "train")], {"c"}, set()),
        ([], set(), set()),
    ],
    ids=[
        "other samples",
        "trained on",
        "chosen by",
        "tested on",
        "a copy that is gone",
        "a copy that is grouped since",
        "itself, not as a copy as well",
        "nothing",
    ],
)
def test_who_has_met_the_test_side(learned: list[Row], same: set[str], copies: set[str]) -> None:
    found = find_leaks(rows(*TODAY), rows(*learned))
    assert found == Leaks(same=frozenset(same), copies=frozenset(copies))
    assert found.either == same | copies


def test_a_snapshot_whose_sides_hold_no_copies_leaks_nothing() -> None:
    clean = [row for row in TODAY if row[0] != "c"]
    assert find_leaks(rows(*clean), rows(*clean)).either == set()
    assert find_leaks(rows(*TODAY), rows(*TODAY)).copies == {"c"}


def test_what_a_model_learned_from_is_in_its_snapshot(tmp_path: Path) -> None:
    root = tmp_path.as_uri()
    assert read_learned(LINEAGE, "boards", root) is None
    (tmp_path / "5a").mkdir()
    pq.write_table(rows(*TODAY), tmp_path / "5a" / "labels.parquet")
    own, foreign = (read_learned(LINEAGE, name, root) for name in ("boards", "herbs"))
    assert own is not None
    assert foreign is not None
    assert own.to_pylist() == rows(*TODAY).to_pylist()
    assert foreign["sha256"].to_pylist() == own["sha256"].to_pylist()
    # The same group names mean other things there.
    assert set(foreign["group"].to_pylist()) == {None}
