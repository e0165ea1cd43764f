"""Histories only grow, whoever writes, and however many at once."""

import threading
import uuid
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.job.samples import (
    Decision,
    HistoryEntry,
    Sample,
    add_class,
    delete_sample,
    make_entry,
    read_sample,
    relabel_sample,
)
from tests.pipelines.conftest import insert_sample

SHA = "a" * 64
# None stands for a deletion.
CHANGES = st.lists(st.none() | st.sampled_from(["cat", "dog", "键盘", "$a.b"]), max_size=6)


def make_sample(database: Any) -> Sample:
    dataset = f"data-{uuid.uuid4().hex[:8]}"
    insert_sample(database, dataset, SHA, "cat")
    return read_sample(database, dataset, SHA)


def change(database: Any, sample: Sample, label: str | None) -> Sample:
    if label is None:
        return delete_sample(database, sample, "me")
    return relabel_sample(database, sample, label, "me")


@given(changes=CHANGES)
@settings(max_examples=25, deadline=None)
def test_history_only_grows(database: Any, changes: list[str | None]) -> None:
    sample = make_sample(database)
    for label in changes:
        before, sample = sample, change(database, sample, label)
        assert sample.history[: len(before.history)] == before.history
        assert len(sample.history) <= len(before.history) + 1
        times = [entry.at for entry in sample.history]
        assert times == sorted(times)
        last = sample.history[-1]
        assert (sample.label, sample.state) == (last.label, last.state)
        assert sample.state == ("deleted" if label is None else "active")
        assert sample.label == (label or before.label)


@given(st.lists(st.datetimes(), min_size=1, max_size=4), st.datetimes())
def test_entries_are_in_time_though_clocks_are_not(earlier: list[datetime], now: datetime) -> None:
    history = [HistoryEntry(at=at, by="me", label="cat", state="active") for at in sorted(earlier)]
    entry = make_entry(history, Decision("dog", "active"), "me", now)
    assert entry.at >= history[-1].at


def test_many_at_once_lose_nothing(database: Any) -> None:
    sample = make_sample(database)
    labels = [f"class {number}" for number in range(6)]

    def work(label: str) -> None:
        # Each from the same, soon outdated, look.
        relabel_sample(database, sample, label, label)
        add_class(database, sample.dataset, label)

    threads = [threading.Thread(target=work, args=[label]) for label in labels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = read_sample(database, sample.dataset, SHA)
    assert sorted(entry.label for entry in after.history) == ["cat", *labels]
    assert after.label == after.history[-1].label
    classes = database["datasets"].find_one({"_id": sample.dataset})["classes"]
    assert classes == ["cat", *labels]
