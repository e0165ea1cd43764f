"""Samples in MongoDB, and how a person's decision changes one: by appending to its history.

`history` keeps every state with its time, so that a snapshot's cut-off can be asked for again.
Its length is the sample's version: a change is written only if the history is still as long as
it was when it was read.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from serving.job.errors import UserError

ATTEMPTS = 50
State = Literal["active", "disputed", "deleted"]
# Of a document; see Sample.
_HAS_BYTES = {"segment": {"$ne": ""}, "purging": {"$ne": True}}


class HistoryEntry(BaseModel):
    """What a sample was from a moment on. claimed: the second label that made it disputed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime
    by: str
    label: str
    state: State
    claimed: str | None = None


class Sample(BaseModel):
    """One labelled thing. Its bytes are going while `purging`, and gone once `segment` is empty."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: str
    sha256: str
    name: str
    label: str
    state: State
    segment: str
    purging: bool = False
    size_bytes: int
    side: str | None = None
    history: tuple[HistoryEntry, ...]

    @property
    def is_purged(self) -> bool:
        """True where only the tombstone is left."""
        return not self.segment


class Decision(NamedTuple):
    """What a sample is to be from now on. claimed: see HistoryEntry."""

    label: str
    state: State
    claimed: str | None = None


def name_sample(dataset: str, sha256: str) -> str:
    """A sample's _id."""
    return f"{dataset}/{sha256}"


def make_entry(
    history: Sequence[HistoryEntry], decision: Decision, by: str, now: datetime
) -> HistoryEntry:
    """The history's next entry: never earlier than the last, though clocks may be."""
    # MongoDB keeps milliseconds.
    at = max([now.replace(microsecond=now.microsecond // 1000 * 1000), *(e.at for e in history)])
    return HistoryEntry(
        at=at, by=by, label=decision.label, state=decision.state, claimed=decision.claimed
    )


def read_sample(database: Any, dataset: str, sha256: str) -> Sample:
    """One sample; KeyError where there is none."""
    document = database["samples"].find_one({"_id": name_sample(dataset, sha256)})
    if document is None:
        raise KeyError(name_sample(dataset, sha256))
    return Sample.model_validate(document)


def make_sample(
    dataset: str,
    sha256: str,
    name: str,
    label: str,
    *,
    segment: str,
    size_bytes: int,
    by: str,
    split: str | None = None,
    group: str | None = None,
    origin: Literal["import", "feedback"] = "import",
) -> dict[str, Any]:
    """The document of a new sample, but for its _id."""
    now = datetime.now(UTC)
    return {
        "dataset": dataset,
        "sha256": sha256,
        "name": name,
        "segment": segment,
        "size_bytes": size_bytes,
        "split": split,
        "side": None,
        "side_origin": None,
        "side_at": None,
        "group": group,
        "state": "active",
        "label": label,
        "history": [{"at": now, "by": by, "label": label, "state": "active"}],
        "added_at": now,
        "origin": origin,
    }


def read_samples(database: Any, keys: Sequence[str]) -> dict[str, Sample]:
    """Samples by their _id; those that are not there are left out."""
    found = database["samples"].find({"_id": {"$in": list(keys)}})
    return {one["_id"]: Sample.model_validate(one) for one in found}


def check_bytes(sample: Sample) -> None:
    """UserError where a purge has taken its bytes, or is about to."""
    if sample.is_purged:
        raise UserError(
            f"Sample {sample.sha256} ({sample.name}) was purged: its bytes are gone, so it cannot "
            "become active again."
        )
    if sample.purging:
        raise UserError(
            f"Sample {sample.sha256} ({sample.name}) is being purged: it cannot become active "
            "again. A purge that was broken off is finished by the same ./modelmill delete --purge."
        )


def relabel_sample(database: Any, sample: Sample, label: str, by: str) -> Sample:
    """Give it this label, and make it active; as it is now. The same again changes nothing.

    Raises UserError where it was purged.
    """

    def decide(now: Sample) -> Decision | None:
        same = now.label == label and now.state == "active"
        return None if same else Decision(label, "active")

    return _change(database, sample, decide, by)


def delete_sample(database: Any, sample: Sample, by: str) -> Sample:
    """Leave a tombstone; as it is now. A second one changes nothing."""

    def decide(now: Sample) -> Decision | None:
        return None if now.state == "deleted" else Decision(now.label, "deleted")

    return _change(database, sample, decide, by)


def restore_sample(database: Any, sample: Sample, by: str) -> Sample:
    """Make it what it was before its newest entry, by one more entry; as it is now.

    Where somebody else was faster, their entry stays: nothing is changed. Raises UserError where
    it was purged.
    """

    def decide(now: Sample) -> Decision | None:
        if len(now.history) != len(sample.history) or len(now.history) < 2:
            return None
        before = now.history[-2]
        return Decision(before.label, before.state, before.claimed)

    return _change(database, sample, decide, by)


def _change(
    database: Any, sample: Sample, decide: Callable[[Sample], Decision | None], by: str
) -> Sample:
    """Append what `decide` says; asked again where somebody else was faster."""
    key = {"_id": name_sample(sample.dataset, sample.sha256)}
    for _ in range(ATTEMPTS):
        decision = decide(sample)
        if decision is None:
            return sample
        guard: dict[str, Any] = {}
        if decision.state == "active":
            check_bytes(sample)
            guard = _HAS_BYTES
        entry = make_entry(sample.history, decision, by, datetime.now(UTC))
        written = database["samples"].update_one(
            {**key, **guard, "history": {"$size": len(sample.history)}},
            {
                "$push": {"history": entry.model_dump(exclude_none=True)},
                "$set": {"label": entry.label, "state": entry.state},
            },
        )
        sample = read_sample(database, sample.dataset, sample.sha256)
        if written.matched_count:
            return sample
    raise RuntimeError(f"sample {key['_id']} kept changing, try again")


def add_class(database: Any, dataset: str, label: str) -> None:
    """Add a class to the dataset's own list, which stays sorted."""
    for _ in range(ATTEMPTS):
        old = list(database["datasets"].find_one({"_id": dataset})["classes"])
        if label in old:
            return
        changed = {"$set": {"classes": sorted([*old, label])}}
        if database["datasets"].update_one({"_id": dataset, "classes": old}, changed).matched_count:
            return
    raise RuntimeError(f"dataset {dataset}: its classes kept changing, try again")
