"""A pair is compared once, ever: what is known is read, what is new is added."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame

from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.near_duplicates import compare
from spark_jobs.near_duplicates.compare import Comparison, compare_pairs
from spark_jobs.near_duplicates.look import look_at
from spark_jobs.pairs import Pair, PairsCache, pairs_key
from spark_jobs.session import make_frame
from tests.spark_jobs.near_duplicates.pictures import copy_picture
from tests.spark_jobs.whole_chain import RunEtl, make_picture, read_labels, read_report, write

LIMIT = 8.0
COPY = "re-encoded at quality 70"
# c is a copy of a, and d of b.
PAIRS: list[Pair] = [("a", "b"), ("a", "c"), ("b", "c"), ("b", "d"), ("c", "d")]
COPIES = [("a", "c"), ("b", "d")]


@pytest.fixture(scope="module")
def thumbnails() -> dict[str, bytes]:
    chance = np.random.default_rng(0)
    one, other = make_picture(1), make_picture(2)
    contents = {
        "a": one,
        "b": other,
        "c": copy_picture(one, COPY, chance),
        "d": copy_picture(other, COPY, chance),
    }
    return {name: look_at(content).thumbnail for name, content in contents.items()}


@pytest.fixture
def facts(context: StageContext, thumbnails: dict[str, bytes]) -> Callable[[str], DataFrame]:
    """Those of the named pictures; a name twice: two runs at once made them."""

    def make(names: str) -> DataFrame:
        return make_frame(
            context.spark,
            pa.table(
                {
                    "sha256": make_array(list(names), pa.string()),
                    "thumbnail": make_array([thumbnails[name] for name in names], pa.binary()),
                }
            ),
        )

    return make


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.mark.parametrize("pairs", [PAIRS, [("a", "b")]])
def test_a_screening_first_changes_nothing(
    context: StageContext,
    facts: Callable[[str], DataFrame],
    pairs: list[Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = compare_pairs(pairs, LIMIT, facts("aabcd"), context.pairs)
    monkeypatch.setattr(compare, "SCREENED_FROM", 1)
    other = PairsCache(context.spark, (tmp_path / "screened").as_uri())
    assert compare_pairs(pairs, LIMIT, facts("aabcd"), other) == plain
    kept = [
        sorted(pq.read_table(cache.locate(LIMIT).removeprefix("file://")).to_pylist(), key=str)
        for cache in (context.pairs, other)
    ]
    assert kept[0] == kept[1]


def test_only_what_is_new_is_compared(
    context: StageContext, facts: Callable[[str], DataFrame], tmp_path: Path
) -> None:
    folder = tmp_path / "pairs"
    assert compare_pairs([], LIMIT, facts("abcd"), context.pairs) == Comparison([], 0)
    first = compare_pairs(PAIRS[:3], LIMIT, facts("abcd"), context.pairs)
    assert first == Comparison(COPIES[:1], 3)
    before = read_files(folder)
    assert len(before) == 1
    # Without a picture to look at, whatever is told now comes from the cache.
    again = compare_pairs(PAIRS[:3], LIMIT, facts(""), context.pairs)
    assert again == Comparison(COPIES[:1], 0)
    assert read_files(folder) == before
    more = compare_pairs(PAIRS, LIMIT, facts("abcd"), context.pairs)
    assert more == Comparison(COPIES, 2)
    assert compare_pairs(PAIRS, LIMIT, facts(""), context.pairs) == Comparison(COPIES, 0)
    after = read_files(folder)
    assert (len(after), before.items() <= after.items()) == (2, True)
    assert not list((folder / ".tmp").iterdir())


def test_another_limit_is_another_question(
    context: StageContext, facts: Callable[[str], DataFrame]
) -> None:
    assert compare_pairs(PAIRS, LIMIT, facts("abcd"), context.pairs).fresh == len(PAIRS)
    stricter = compare_pairs(PAIRS, 0.001, facts("abcd"), context.pairs)
    assert stricter == Comparison([], len(PAIRS))
    assert compare_pairs(PAIRS, LIMIT, facts(""), context.pairs) == Comparison(COPIES, 0)


def test_the_comparing_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pairs_key(LIMIT)
    assert before != pairs_key(LIMIT + 1)
    monkeypatch.setattr("spark_jobs.pairs.COMPARE_VERSION", "another")
    assert before != pairs_key(LIMIT)


def test_what_two_runs_at_once_made_twice_counts_once(
    context: StageContext, facts: Callable[[str], DataFrame], tmp_path: Path
) -> None:
    compare_pairs(PAIRS, LIMIT, facts("aabccd"), context.pairs)
    ((name, content),) = read_files(tmp_path / "pairs").items()
    rows = pq.read_table(tmp_path / "pairs" / pairs_key(LIMIT) / name).to_pylist()
    assert [(row["a"], row["b"]) for row in rows] == PAIRS
    (tmp_path / "pairs" / pairs_key(LIMIT) / "other.parquet").write_bytes(content)
    assert compare_pairs(PAIRS, LIMIT, facts(""), context.pairs) == Comparison(COPIES, 0)


def test_a_second_etl_compares_only_what_came_new(
    run_import_of: Callable[[], object], etl: RunEtl, tmp_path: Path
) -> None:
    chance = np.random.default_rng(0)
    for c, name in enumerate(("ash", "oak")):
        for i in range(10):
            write(tmp_path / "import" / name, f"{i}.png", make_picture(10 * c + i))
    run_import_of()
    first = read_report(etl()).near_duplicates
    assert first is not None
    assert first.compared == first.proposed > 0
    outcome = etl()
    again = read_report(outcome).near_duplicates
    assert again is not None
    assert (again.proposed, again.compared) == (first.proposed, 0)
    sides = {sha: row["side"] for sha, row in read_labels(outcome).items()}
    copy = write(tmp_path / "import" / "ash", "c.jpg", copy_picture(make_picture(3), COPY, chance))
    run_import_of()
    outcome = etl()
    grown = read_report(outcome).near_duplicates
    assert grown is not None
    assert grown.compared is not None
    assert 0 < grown.compared < first.proposed
    assert (grown.groups, grown.samples_in_groups) == (1, 2)
    rows = read_labels(outcome)
    original = write(tmp_path, "3.png", make_picture(3))
    assert rows[copy]["side"] == sides[original]
