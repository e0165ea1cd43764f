"""Pictures of the review queue that are no samples: purged beside, or not."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.job.review_decisions import ReviewConflictError, decide, find_item, undo_decision
from serving.job.reviews import ReviewItem, queue_reviews
from serving.job.samples import Sample, name_sample, read_sample
from serving.job.segments import SegmentWriter
from serving.job.served import ServedPicture
from spark_jobs.administration.purge import purge_samples
from tests.spark_jobs.administration.conftest import MakePurge, read_raw

WAITING, LEFT_OUT, ADMITTED = (character * 64 for character in "abc")
AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def queued(imported: str, samples: list[Sample], tmp_path: Path, database: Any) -> str:
    """Three pictures in one segment: one waits, one was left out, one has become a sample."""
    writer = SegmentWriter()
    for sha256 in (WAITING, LEFT_OUT, ADMITTED):
        writer.add(sha256, "served/boards/1", sha256[:8].encode())
    segment = writer.write((tmp_path / "raw").as_uri())
    label = samples[0].label
    items = [
        ReviewItem(
            dataset=imported,
            sha256=sha256,
            name=f"served/boards/{sha256[:2]}",
            label=label,
            predicted=label,
            source="served",
            run_id="",
            suspicion=0.5,
            queued_at=AT,
            served=ServedPicture(
                deployment="boards",
                version=1,
                request_id="r",
                picture=0,
                at=AT,
                segment=segment,
                size_bytes=8,
            ),
        )
        for sha256 in (WAITING, LEFT_OUT, ADMITTED)
    ]
    assert queue_reviews(database, items).opened == 3
    decide(database, imported, LEFT_OUT, "delete", by="ann")
    decide(database, imported, ADMITTED, "confirm", by="ann")
    return segment


def list_hashes(tmp_path: Path) -> set[str]:
    return {sha256 for hashes in read_raw(tmp_path).values() for sha256 in hashes}


def test_a_waiting_picture_of_the_same_segment_stays(
    make_purge: MakePurge, queued: str, imported: str, tmp_path: Path, database: Any
) -> None:
    outcome = purge_samples(make_purge(read_sample(database, imported, ADMITTED)))
    assert (outcome.purged, outcome.left_out, outcome.segments) == (1, 1, 1)
    there = list_hashes(tmp_path)
    assert WAITING in there
    assert not {LEFT_OUT, ADMITTED} & there
    # It can still be decided: its bytes are where the item says.
    decide(database, imported, WAITING, "confirm", by="ann")
    sample = read_sample(database, imported, WAITING)
    assert sample.segment != queued
    assert WAITING in read_raw(tmp_path)[sample.segment]


@pytest.mark.usefixtures("queued")
def test_what_was_left_out_goes_with_any_purge(
    make_purge: MakePurge,
    imported: str,
    samples: list[Sample],
    tmp_path: Path,
    database: Any,
) -> None:
    assert LEFT_OUT in list_hashes(tmp_path)
    spec = make_purge(samples[0])
    assert purge_samples(spec).left_out == 1
    assert LEFT_OUT not in list_hashes(tmp_path)
    assert {WAITING, ADMITTED} < list_hashes(tmp_path)
    admitted = read_sample(database, imported, ADMITTED)
    assert ADMITTED in read_raw(tmp_path)[admitted.segment]
    assert purge_samples(spec).left_out == 0
    # Asked again, it says that there is nothing left to take in.
    undo_decision(database, imported, LEFT_OUT, by="ann")
    with pytest.raises(ReviewConflictError, match="are gone: it can only be deleted"):
        decide(database, imported, LEFT_OUT, "confirm", by="ann")
    assert find_item(database, imported, LEFT_OUT).decision is None


@pytest.mark.usefixtures("queued")
def test_killed_before_removing_it_is_complete_the_next_time(
    make_purge: MakePurge,
    imported: str,
    tmp_path: Path,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    spec = make_purge(read_sample(database, imported, ADMITTED))
    with monkeypatch.context() as patched:
        patched.setattr("serving.job.store.delete", die)
        with pytest.raises(KeyboardInterrupt):
            purge_samples(spec)
    assert purge_samples(spec).purged == 1
    assert not {LEFT_OUT, ADMITTED} & list_hashes(tmp_path)
    decide(database, imported, WAITING, "confirm", by="ann")
    sample = read_sample(database, imported, WAITING)
    assert WAITING in read_raw(tmp_path)[sample.segment]


def test_who_decides_meanwhile_loses_nothing(
    make_purge: MakePurge, queued: str, imported: str, tmp_path: Path, database: Any
) -> None:
    name = {"dataset": imported, "sha256": WAITING}
    hold = {"key": "k", "by": "ann", "until": datetime.now(UTC) + timedelta(seconds=30)}
    database["reviews"].update_one(name, {"$set": {"held": hold}})
    spec = make_purge(read_sample(database, imported, ADMITTED))
    with ThreadPoolExecutor() as pool:
        purge = pool.submit(purge_samples, spec)
        for _ in range(600):
            if database["reviews"].find_one(name)["served"]["segment"] != queued:
                break
            time.sleep(0.1)
        assert not purge.done()
        # As the decision of one who had read the old address before.
        sample = read_sample(database, imported, ADMITTED).model_dump()
        late = sample | name | {"_id": name_sample(imported, WAITING), "segment": queued}
        database["samples"].insert_one(late | {"state": "active"})
        database["reviews"].update_one(name, {"$unset": {"held": ""}})
        assert purge.result(timeout=60).purged == 1
    moved = read_sample(database, imported, WAITING).segment
    assert WAITING in read_raw(tmp_path)[moved]
