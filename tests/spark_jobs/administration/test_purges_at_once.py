"""Two purges, a purge and a person, a purge and its own death: nothing is half gone."""

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

from serving.job.errors import UserError
from serving.job.samples import Sample, read_sample, relabel_sample
from spark_jobs.administration.purge import Purge, purge_samples
from tests.spark_jobs.administration.conftest import (
    MakePurge,
    MakeSnapshot,
    check_rest,
    read_raw,
)


def test_two_purges_at_once_leave_no_byte(
    *,
    make_purge: MakePurge,
    samples: list[Sample],
    imported: str,
    tmp_path: Path,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    specs = [make_purge(samples[0]), make_purge(samples[1])]
    # Both have looked at the segment that both samples lie in, before either writes it anew.
    meeting, move = threading.Barrier(2, timeout=3), Purge._move

    def meet_and_move(*arguments: Any) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait()
        move(*arguments)

    monkeypatch.setattr(Purge, "_move", meet_and_move)
    threads = [threading.Thread(target=purge_samples, args=[spec]) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_rest(tmp_path, database, imported, {samples[0].sha256, samples[1].sha256})


@pytest.mark.parametrize("moment", ["purge_segment", "mark_samples"])
def test_relabelling_cannot_bring_back_what_is_being_purged(
    *,
    make_purge: MakePurge,
    samples: list[Sample],
    imported: str,
    tmp_path: Path,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    spec, told = make_purge(samples[0]), []
    before = read_sample(database, imported, samples[0].sha256)
    step = getattr(Purge, moment)

    def relabel_first(*arguments: Any) -> Any:
        # What a person saw a moment ago: a deleted sample, its bytes still there.
        try:
            relabel_sample(database, before, "b", "a person")
        except UserError as error:
            told.append(str(error))
        return step(*arguments)

    monkeypatch.setattr(Purge, moment, relabel_first)
    purge_samples(spec)
    assert told
    assert all("is being purged" in sentence for sentence in told)
    check_rest(tmp_path, database, imported, {samples[0].sha256})
    with pytest.raises(UserError, match="was purged"):
        relabel_sample(database, before, "b", "a person")


def test_relabelled_just_before_stays(
    *,
    make_purge: MakePurge,
    samples: list[Sample],
    imported: str,
    tmp_path: Path,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, check = make_purge(samples[0], samples[1]), Purge.check_deleted

    def check_and_relabel(self: Purge) -> None:
        check(self)
        deleted = read_sample(database, imported, samples[0].sha256)
        relabel_sample(database, deleted, deleted.label, "a person")

    monkeypatch.setattr(Purge, "check_deleted", check_and_relabel)
    assert purge_samples(spec).purged == 1
    assert read_sample(database, imported, samples[0].sha256).state == "active"
    check_rest(tmp_path, database, imported, {samples[1].sha256})


@pytest.mark.parametrize("moment", ["claim", "purge_segment", "mark_samples", "mark_snapshots"])
def test_killed_anywhere_the_snapshots_are_marked_by_the_next(
    *,
    make_purge: MakePurge,
    make_snapshot: MakeSnapshot,
    samples: list[Sample],
    imported: str,
    tmp_path: Path,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    snapshot = make_snapshot({samples[0].sha256: "train", samples[1].sha256: "test"})
    spec = make_purge(samples[0])
    step = getattr(Purge, moment)

    def end_after(*arguments: Any) -> None:
        step(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Purge, moment, end_after)
        with pytest.raises(KeyboardInterrupt):
            purge_samples(spec)
    if read_sample(database, imported, samples[0].sha256).is_purged:
        # ./modelmill delete takes it for done from here on.
        assert database["snapshots"].find_one({"_id": snapshot})["purged"] == 1
    assert purge_samples(spec).snapshots == (snapshot,)
    assert database["snapshots"].find_one({"_id": snapshot})["purged"] == 1
    assert samples[0].sha256 not in {
        sha for hashes in read_raw(tmp_path).values() for sha in hashes
    }
