"""A person's decision on an item of the review queue: what it does to the sample, and its trail.

The item is held while its sample is being changed, so that of two people one decides. Who holds it
and dies has left the sample as it was or as they wanted it; the item is free again soon.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from serving.job import store
from serving.job.errors import UserError
from serving.job.labels import check_label, list_classes, read_task
from serving.job.reviews import (
    COLLECTION,
    Decision,
    ReviewEvent,
    ReviewItem,
    Verdict,
    read_item,
    settle_item,
)
from serving.job.samples import (
    Sample,
    add_class,
    delete_sample,
    name_sample,
    read_sample,
    read_samples,
    relabel_sample,
    restore_sample,
)
from serving.job.served import admit_picture, stands_outside

HOLD = timedelta(seconds=30)


class ReviewConflictError(UserError):
    """Somebody else was faster, or the sample is not what it was."""


def decide(
    database: Any,
    dataset: str,
    sha256: str,
    verdict: Verdict,
    label: str = "",
    *,
    by: str,
    new_class: bool = False,
) -> ReviewItem:
    """Decide an open item, and change its sample accordingly; the item as it is then.

    label: the new one where the verdict is relabel, else of no account. Raises NewClassError where
    it is no class yet and is not said to be a new one, ReviewConflictError where somebody else
    decided or changed the sample, KeyError where there is no such item.
    """
    item = find_item(database, dataset, sha256)
    if item.decision is not None:
        raise ReviewConflictError(_say_decided(item.name, item.decision))
    wanted = ""
    if verdict == "relabel" or (item.served is not None and verdict != "delete"):
        # What a served picture was called by a model or a caller need not be a class.
        given = label if verdict == "relabel" else item.label
        wanted = _clean_label(database, dataset, given, new_class=new_class)
    with _hold(database, item, by) as held:
        # A purge may have moved its picture since; it waits for those who hold one.
        item = find_item(database, dataset, sha256)
        before = _find_sample(database, item)
        outside = item.served is not None and stands_outside(before, item.withdrawn)
        sample = before if outside else _read_unchanged(database, item)
        for name in list_classes(wanted, read_task(database, dataset)) if wanted else ():
            add_class(database, dataset, name)
        if sample is not None and not outside:
            after: Sample | None = _apply(database, sample, verdict, wanted, by)
        else:
            after = _admit(database, item, verdict, wanted, by)
        same = verdict == "relabel" and wanted == item.label
        decision = Decision(
            verdict="confirm" if same else verdict,
            label=item.label if after is None else after.label,
            by=by,
            at=_now(),
            entries=_count_entries(sample, after),
        )
        if not settle_item(database, item, decision, {"held.key": held}):
            raise ReviewConflictError(
                f"{item.name} was decided by somebody else meanwhile; look at it again."
            )
    return find_item(database, dataset, sha256)


def undo_decision(database: Any, dataset: str, sha256: str, by: str) -> ReviewItem:
    """Open a decided item again, its sample as it was before; the item as it is then.

    Raises ReviewConflictError where nothing is decided, or the sample was changed since; KeyError
    where there is no such item.
    """
    item = find_item(database, dataset, sha256)
    decision = item.decision
    if decision is None:
        raise ReviewConflictError(f"{item.name} is not decided: there is nothing to undo.")
    label, withdrawn = item.label, item.withdrawn
    if item.served is None:
        label = _read_sample(database, item).label
    if decision.entries is not None:
        sample = after = _read_sample(database, item)
        if len(sample.history) == decision.entries:
            # A picture that its decision had made a sample has no state before.
            take_back = delete_sample if decision.entries == 1 else restore_sample
            after = take_back(database, sample, by)
        if len(after.history) != decision.entries + 1 or after.history[-1].by != by:
            raise ReviewConflictError(
                f"{item.name} was changed by {after.history[-1].by} since; it stays as it is."
            )
        if after.state != "deleted":
            label = after.label
        elif item.served is not None:
            withdrawn = len(after.history)
    event = ReviewEvent(event="undo", label=label, by=by, at=_now())
    key = {"_id": name_sample(dataset, sha256), "decision.at": decision.at}
    change = {
        "$set": {"decision": None, "label": label, "withdrawn": withdrawn},
        "$push": {"trail": event.model_dump()},
    }
    if not database[COLLECTION].update_one(key, change).matched_count:
        raise ReviewConflictError(f"{item.name} was opened by somebody else meanwhile.")
    return find_item(database, dataset, sha256)


def find_item(database: Any, dataset: str, sha256: str) -> ReviewItem:
    """One item; KeyError where there is none."""
    document = database[COLLECTION].find_one({"_id": name_sample(dataset, sha256)})
    if document is None:
        raise KeyError(name_sample(dataset, sha256))
    return read_item(document)


def _now() -> datetime:
    now = datetime.now(UTC)
    # MongoDB keeps milliseconds.
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _say_decided(name: str, decision: Decision) -> str:
    return (
        f"{name} was decided by {decision.by} at {decision.at:%Y-%m-%d %H:%M} UTC: "
        f"{decision.verdict}, {decision.label!r}."
    )


def _clean_label(database: Any, dataset: str, label: str, *, new_class: bool) -> str:
    document = database["datasets"].find_one({"_id": dataset}) or {}
    task = read_task(database, dataset)
    try:
        return check_label(label, document.get("classes", ()), new=new_class, task=task)
    except ValueError as error:
        # A bar in a class's name.
        raise UserError(f"LABEL was {label!r}: {error}.") from None


@contextmanager
def _hold(database: Any, item: ReviewItem, by: str) -> Iterator[str]:
    """The key of one person's hold; ReviewConflictError where somebody else has it."""
    key = {"_id": name_sample(item.dataset, item.sha256)}
    held = secrets.token_hex(8)
    free = [{"held": {"$exists": False}}, {"held.until": {"$lt": _now()}}]
    hold = {"key": held, "by": by, "until": _now() + HOLD}
    changed = database[COLLECTION].update_one(
        {**key, "decision": None, "$or": free}, {"$set": {"held": hold}}
    )
    if not changed.matched_count:
        now = find_item(database, item.dataset, item.sha256)
        if now.decision is not None:
            raise ReviewConflictError(_say_decided(now.name, now.decision))
        raise ReviewConflictError(f"{item.name} is being decided by somebody else right now.")
    try:
        yield held
    finally:
        database[COLLECTION].update_one({**key, "held.key": held}, {"$unset": {"held": ""}})


def _count_entries(before: Sample | None, after: Sample | None) -> int | None:
    """Length of the history where it has grown."""
    old, new = (0 if one is None else len(one.history) for one in (before, after))
    return new if new > old else None


def _admit(database: Any, item: ReviewItem, verdict: Verdict, label: str, by: str) -> Sample | None:
    """A served picture as a sample; None where it is left out."""
    if verdict == "delete" or item.served is None:
        return None
    if not store.exists(item.served.segment):
        raise ReviewConflictError(f"The bytes of {item.name} are gone: it can only be deleted.")
    return admit_picture(
        database,
        item.dataset,
        item.sha256,
        name=item.name,
        served=item.served,
        label=label,
        by=by,
    )


def _find_sample(database: Any, item: ReviewItem) -> Sample | None:
    key = name_sample(item.dataset, item.sha256)
    return read_samples(database, [key]).get(key)


def _read_sample(database: Any, item: ReviewItem) -> Sample:
    try:
        return read_sample(database, item.dataset, item.sha256)
    except KeyError:
        raise ReviewConflictError(f"{item.name} is no sample of {item.dataset} any more.") from None


def _read_unchanged(database: Any, item: ReviewItem) -> Sample:
    """The item's sample; ReviewConflictError where a person changed it since it was queued."""
    sample = _read_sample(database, item)
    last = sample.history[-1]
    if sample.state == "deleted":
        raise ReviewConflictError(
            f"{item.name} was deleted by {last.by} meanwhile. ./modelmill relabel brings it back."
        )
    if sample.label != item.label:
        raise ReviewConflictError(
            f"{item.name} was relabelled {sample.label!r} by {last.by} meanwhile."
        )
    return sample


def _apply(database: Any, sample: Sample, verdict: Verdict, label: str, by: str) -> Sample:
    if verdict == "delete":
        return delete_sample(database, sample, by)
    if verdict == "relabel":
        return relabel_sample(database, sample, label, by)
    # A confirmed label also decides a dispute, as ./modelmill relabel does.
    return relabel_sample(database, sample, sample.label, by)
