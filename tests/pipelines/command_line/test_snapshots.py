"""./modelmill snapshots and export: the command line down to the real job."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.snapshots import check_snapshot
from serving.bundle.manifest import SEVERAL
from serving.job.errors import UserError
from tests.pipelines.airflow_server import Row
from tests.pipelines.conftest import Run, insert_sample

OLD, NEW = "aaaa" + "0" * 16, "aabb" + "0" * 16
CAT = "c" * 64


@pytest.fixture
def pets(database: Any, dataset: str) -> str:
    insert_sample(database, dataset, CAT, "cat")
    # Ids are unique over all datasets; the test's own digits come last.
    for snapshot_id, day in ((OLD, 1), (NEW, 2)):
        fields = {
            "_id": snapshot_id[:-8] + dataset[-8:],
            "dataset": dataset,
            "cutoff": datetime(2026, 1, day, tzinfo=UTC),
            "samples": 3,
            "counts": [
                {"side": "train", "label": "cat", "samples": 2},
                {"side": "test", "label": "cat", "samples": 1},
            ],
        }
        database["snapshots"].insert_one(fields)
    return dataset


def test_snapshots_are_listed_newest_first(run: Run, pets: str) -> None:
    done = run("snapshots", "--dataset", pets, "--json")
    assert done.code == 0, done.err
    new, old = json.loads(done.out)["snapshots"]
    assert (new["snapshot_id"][:4], old["snapshot_id"][:4]) == ("aabb", "aaaa")
    assert (new["samples"], new["purged"], new["cutoff"]) == (3, 0, "2026-01-02T00:00:00Z")
    assert (
        "3 samples in 1 classes: 2 train, 0 val, 1 test" in run("snapshots", "--dataset", pets).out
    )


def test_a_sample_of_several_labels_is_one_sample(run: Run, pets: str, database: Any) -> None:
    counts = [{"side": "train", "label": label, "samples": 2} for label in ("cat", "dog")]
    change = {"task": SEVERAL, "counts": counts, "sides": {"train": 3, "val": 0, "test": 0}}
    database["snapshots"].update_many({"dataset": pets}, {"$set": change})
    told = "3 samples in 2 classes, several labels a sample: 3 train, 0 val, 0 test"
    assert told in run("snapshots", "--dataset", pets).out


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("aa", "aaaa"), ["which 2 ids begin with", "aaaa0000"]),
        (("bbbb", "aaaa"), ["no snapshot's id begins so", "aabb0000"]),
    ],
)
def test_ids_that_are_not_one(run: Run, pets: str, ids: tuple[str, str], words: list[str]) -> None:
    done = run("snapshots", "--dataset", pets, "--diff", *ids)
    assert done.code == 1
    assert not [word for word in words if word not in done.err], done.err


def test_lost_snapshot_is_told_by_the_job(run: Run, pets: str) -> None:
    done = run("snapshots", "--dataset", pets, "--diff", "aaaa", "aabb")
    assert done.code == 1
    assert "is not there any more" in done.err.splitlines()[-1]


def test_export_of_what_has_no_bytes(run: Run, pets: str, tmp_path: Path, home: Path) -> None:
    done = run("export", "--dataset", pets, str(tmp_path / "out"), "--json")
    assert done.code == 1
    answer = json.loads(done.out)
    assert (answer["samples"], answer["written"]) == (1, 0)
    assert answer["missing"][0]["name"] == "cat/cccc.png"
    assert not list((home / "scratch" / "commands").iterdir())


def test_export_of_an_unknown_snapshot(run: Run, pets: str, tmp_path: Path) -> None:
    done = run("export", "--dataset", pets, "--snapshot", "0000", str(tmp_path / "out"))
    assert (done.code, "no snapshot's id begins so" in done.err) == (1, True)


def test_a_snapshot_with_purged_samples_is_refused_at_once(
    run: Run, pets: str, database: Any, airflow: list[Row]
) -> None:
    snapshot_id = OLD[:-8] + pets[-8:]
    database["snapshots"].update_one({"_id": snapshot_id}, {"$set": {"purged": 1}})
    with pytest.raises(UserError, match="1 of its 3 samples were purged"):
        check_snapshot(pets, snapshot_id)
    done = run("train", "--dataset", pets, "--snapshot", snapshot_id)
    assert done.code == 1
    assert "1 of its 3 samples were purged" in done.err
