"""Purged bytes are nowhere any more; everything else is where it was, or can be found."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.job import store
from serving.job.errors import UserError
from serving.job.samples import Sample, read_sample
from spark_jobs.administration import purge
from spark_jobs.administration.purge import purge_samples
from spark_jobs.etl import run_etl
from spark_jobs.snapshots import SnapshotManifest, write_snapshot
from tests.spark_jobs.administration.conftest import (
    MakePurge,
    MakeSnapshot,
    check_rest,
    read_raw,
)
from tests.spark_jobs.conftest import MakeSpec


def test_bytes_are_gone_and_the_rest_stays(
    make_purge: MakePurge, samples: list[Sample], imported: str, tmp_path: Path, database: Any
) -> None:
    before = read_raw(tmp_path)
    # One of the first class's, all of the second's, none of the third's.
    chosen = [samples[0], *samples[3:6]]
    outcome = purge_samples(make_purge(*chosen))
    assert (outcome.purged, outcome.segments, outcome.snapshots) == (4, 2, ())
    check_rest(tmp_path, database, imported, {sample.sha256 for sample in chosen})
    after = read_raw(tmp_path)
    assert len(after) == 2
    assert len(after.keys() & before.keys()) == 1


def test_snapshots_that_held_one_are_marked(
    make_purge: MakePurge, make_snapshot: MakeSnapshot, samples: list[Sample], database: Any
) -> None:
    first, second, third, *_ = (sample.sha256 for sample in samples)
    with_it = make_snapshot({first: "train", second: "test"})
    without = make_snapshot({second: "train", third: "test"})
    spec = make_purge(samples[0])
    for _ in range(2):
        assert purge_samples(spec).snapshots == (with_it,)
        assert database["snapshots"].find_one({"_id": with_it})["purged"] == 1
    assert "purged" not in database["snapshots"].find_one({"_id": without})


def test_a_snapshot_that_a_run_makes_meanwhile_is_marked(
    make_purge: MakePurge,
    make_spec: MakeSpec,
    samples: list[Sample],
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The purge looks through the snapshots that are known, before the run has told of its own."""

    def purge_first(*arguments: Any) -> SnapshotManifest:
        purge_samples(make_purge(samples[0]))
        return write_snapshot(*arguments)

    monkeypatch.setattr("spark_jobs.etl.write_snapshot", purge_first)
    made = run_etl(make_spec()).snapshot_id
    assert database["snapshots"].find_one({"_id": made})["purged"] == 1


@pytest.mark.parametrize("moment", ["before repointing", "before removing", "before marking"])
def test_killed_anywhere_it_is_complete_the_next_time(
    make_purge: MakePurge,
    samples: list[Sample],
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    tmp_path = Path(make_purge().raw_uri.removeprefix("file://")).parent
    spec, imported = make_purge(samples[0], samples[4]), samples[0].dataset

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "before repointing":
            patched.setattr(purge.Purge, "_point", die)
        elif moment == "before removing":
            patched.setattr(store, "delete", die)
        else:
            patched.setattr(purge.Purge, "mark_samples", die)
        with pytest.raises(KeyboardInterrupt):
            purge_samples(spec)
    # Every sample that was not to go can still be read.
    raw = read_raw(tmp_path)
    for sample in samples:
        if sample.sha256 not in spec.sha256s:
            now = read_sample(database, imported, sample.sha256)
            assert sample.sha256 in raw[now.segment]
    purge_samples(spec)
    if moment == "before repointing":
        # The segment that was written and never pointed to; it holds no purged byte.
        (leftover,) = set(read_raw(tmp_path)) - set(
            database["samples"].distinct("segment", {"dataset": imported})
        )
        assert not set(read_raw(tmp_path)[leftover]) & set(spec.sha256s)
        Path(leftover.removeprefix("file://")).unlink()
    check_rest(tmp_path, database, imported, set(spec.sha256s))


def test_leftovers_of_other_imports_are_purged_too(
    make_purge: MakePurge, samples: list[Sample], imported: str, tmp_path: Path, database: Any
) -> None:
    row = {"sha256": samples[0].sha256, "name": "x", "content": b"x"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "raw" / "leftover.parquet")
    purge_samples(make_purge(samples[0]))
    check_rest(tmp_path, database, imported, {samples[0].sha256})


def test_only_deleted_samples_are_purged(
    make_purge: MakePurge, samples: list[Sample], tmp_path: Path
) -> None:
    spec = make_purge(samples[0])
    bold = spec.model_copy(update={"sha256s": (samples[0].sha256, samples[1].sha256)})
    before = read_raw(tmp_path)
    with pytest.raises(UserError, match="1 of 2 samples are not deleted"):
        purge_samples(bold)
    assert read_raw(tmp_path) == before
