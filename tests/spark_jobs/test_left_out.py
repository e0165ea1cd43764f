"""Samples that are not used today still bind those that resemble them; in no count, in no list."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.job.samples import delete_sample, read_sample, relabel_sample
from spark_jobs.etl import run_etl
from spark_jobs.runner import STAGES_VARIABLE
from spark_jobs.snapshots import read_labels as read_table
from spark_jobs.snapshots import write_snapshot
from spark_jobs.spec import StageSpec
from tests.spark_jobs.conftest import CHAIN, MakeSpec
from tests.spark_jobs.near_duplicates.pictures import copy_picture
from tests.spark_jobs.whole_chain import RunEtl, make_picture, read_labels, read_report, write

CLASSES = ("<b>bold", "键盘")
PER_CLASS = 6


@pytest.fixture
def pictures(import_root: Path) -> dict[str, bytes]:
    """sha256 → bytes of those of the first class."""
    found = {}
    for number, name in enumerate(CLASSES):
        for i in range(PER_CLASS):
            content = make_picture(10 * number + i)
            sha = write(import_root / name, f"{i}.png", content)
            if not number:
                found[sha] = content
    return found


def test_a_deleted_sample_binds_its_copies(
    *,
    run_import_of: Any,
    etl: RunEtl,
    pictures: dict[str, bytes],
    import_root: Path,
    dataset: str,
    database: Any,
) -> None:
    run_import_of()
    rows = read_labels(etl())
    deleted = {sha for sha in pictures if rows[sha]["side"] != "train"}
    for sha in deleted:
        delete_sample(database, read_sample(database, dataset, sha), "me")
    chance = np.random.default_rng(0)
    copies = {
        write(
            import_root / CLASSES[0],
            f"copy of {sha}.jpg",
            copy_picture(pictures[sha], "re-encoded at quality 70", chance),
        ): sha
        for sha in deleted
    }
    run_import_of()
    outcome = etl()
    later, report = read_labels(outcome), read_report(outcome)
    assert {sha: later[sha]["side"] for sha in copies} == {
        sha: rows[original]["side"] for sha, original in copies.items()
    }
    assert later.keys() == (rows.keys() | copies.keys()) - deleted
    assert all(later[sha]["group"] is None for sha in copies)
    assert (report.samples, report.rejected, report.rejections) == (len(later), 0, ())
    assert report.near_duplicates is not None
    assert report.near_duplicates.groups == 0
    near = report.near_duplicates
    assert (near.samples, near.confirmed) == (len(later), 0)
    assert etl().snapshot_id == outcome.snapshot_id

    for sha in deleted:
        relabel_sample(database, read_sample(database, dataset, sha), CLASSES[0], "me")
    back = read_labels(etl())
    assert back.keys() == rows.keys() | copies.keys()
    for copy, original in copies.items():
        assert back[copy]["group"] == back[original]["group"] == min(copy, original)
        assert back[copy]["side"] == back[original]["side"]


FORGETS = """
from pyspark.sql import functions as F

def run(samples, params):
    return samples.withColumn("reject_reason", F.when(F.length("content") == 0, "empty"))
"""


def test_no_stage_brings_a_deleted_sample_back_and_purged_ones_reach_none(
    *,
    run_import_of: Any,
    make_spec: MakeSpec,
    pictures: dict[str, bytes],
    dataset: str,
    database: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_import_of()
    run_etl(make_spec())
    deleted, purged, *_ = (
        sha for sha in sorted(pictures) if read_sample(database, dataset, sha).side == "train"
    )
    for sha in (deleted, purged):
        delete_sample(database, read_sample(database, dataset, sha), "me")
    one = {"dataset": dataset, "sha256": purged}
    database["samples"].update_one(one, {"$set": {"segment": ""}})
    write(tmp_path / "stages", "forgets.py", FORGETS.encode())
    monkeypatch.setenv(STAGES_VARIABLE, str(tmp_path / "stages"))
    stages = tuple(StageSpec(name=name) for name in (CHAIN[0], "forgets", *CHAIN[1:]))
    outcome = run_etl(make_spec(stages=stages))
    assert not {deleted, purged} & read_labels(outcome).keys()
    assert (len(read_labels(outcome)), outcome.rejected) == (2 * PER_CLASS - 2, 0)


def test_an_old_snapshot_is_trained_on_as_it_is(
    *,
    run_import_of: Any,
    etl: RunEtl,
    pictures: dict[str, bytes],
    import_root: Path,
    tmp_path: Path,
    dataset: str,
) -> None:
    """Though it has a group on two sides, which no run would make today."""
    one = next(iter(pictures))
    content = copy_picture(pictures[one], "resized to 80 %", np.random.default_rng(0))
    copy = write(import_root / CLASSES[0], "copy.jpg", content)
    run_import_of()
    first = etl()
    uri = (tmp_path / "snapshots").as_uri()
    table = read_table(uri, first.snapshot_id)
    sides = [
        {"train": "test"}.get(row["side"], "train") if row["sha256"] == copy else row["side"]
        for row in table.to_pylist()
    ]
    old = write_snapshot(uri, dataset, table.set_column(3, "side", [sides]))
    again = etl(snapshot_id=old.snapshot_id)
    report = read_report(again)
    assert again.snapshot_id == old.snapshot_id
    assert report.sides is not None
    assert (report.sides.leaks, report.sides.bridges) == (1, 0)
    (leak,) = report.sides.leaking_groups
    assert f"{CLASSES[0]}/copy.jpg" in leak.names
