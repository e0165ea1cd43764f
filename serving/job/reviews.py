"""The review queue in MongoDB: bad cases and doubtful labels, and what a person decided."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from serving.job.evaluation import Neighbour
from serving.job.samples import Sample, name_sample, read_samples
from serving.job.served import ServedPicture, stands_outside
from serving.job.spec import Spec

COLLECTION = "reviews"
BATCH = 500
Source = Literal["bad_case", "label_suspect", "feedback", "served"]
Verdict = Literal["confirm", "relabel", "delete", "hard"]


class Decision(Spec):
    """label: the new one of a relabelled sample, else the one it keeps.

    entries: length of the sample's history where the decision added to it.
    """

    verdict: Verdict
    label: str
    by: str
    at: datetime
    entries: int | None = None


class ReviewEvent(Spec):
    """A line of the trail: a verdict, an undone one, or the question again. label: from then on."""

    event: Verdict | Literal["undo", "reopen"]
    label: str
    by: str
    at: datetime


class ReviewItem(Spec):
    """One doubtful sample, with the label that it had when it was queued.

    suspicion: 0 to 1, how likely the label is wrong or the sample worth a look; the queue's order.
    decision: None while nobody has decided. trail: every decision, oldest first; only grows.
    served: of a picture that becomes a sample by its decision. withdrawn: see stands_outside.
    """

    dataset: str
    sha256: str
    name: str
    label: str
    predicted: str | None
    scores: tuple[tuple[str, float], ...] = ()
    reasons: tuple[str, ...] = ()
    source: Source
    run_id: str
    suspicion: float
    queued_at: datetime
    decision: Decision | None = None
    neighbours: tuple[Neighbour, ...] = ()
    trail: tuple[ReviewEvent, ...] = ()
    served: ServedPicture | None = None
    withdrawn: int | None = None

    def is_open_for(self, sample: Sample | None) -> bool:
        """Whether the question still stands, with its sample as it is now."""
        if self.served is not None and stands_outside(sample, self.withdrawn):
            return True
        return sample is not None and sample.state != "deleted" and sample.label == self.label


class Queued(Spec):
    """What became of the items.

    reopened: decided, and their label changed since; decided: left as they are; outdated: their
    sample was deleted, relabelled or removed after the model had seen it.
    """

    opened: int = 0
    refreshed: int = 0
    reopened: int = 0
    decided: int = 0
    outdated: int = 0


class Place(NamedTuple):
    """Where an item stands in the queue."""

    suspicion: float
    sha256: str


class ReviewPage(Spec):
    """Open items, highest suspicion first. open: how many there are in all."""

    items: tuple[ReviewItem, ...]
    open: int


def read_item(document: Mapping[str, Any]) -> ReviewItem:
    """An item out of its document; fields of other versions are left alone."""
    return ReviewItem.model_validate(
        {k: document[k] for k in ReviewItem.model_fields if k in document}
    )


def queue_reviews(database: Any, items: Iterable[ReviewItem]) -> Queued:
    """Put items into the queue; the most suspicious one counts where a sample comes twice.

    An open item is refreshed. A decided one stays decided, unless its sample has another label now
    than the decision gave it.
    """
    chosen: dict[tuple[str, str], ReviewItem] = {}
    for item in items:
        key = (item.dataset, item.sha256)
        if key not in chosen or item.suspicion > chosen[key].suspicion:
            chosen[key] = item
    if chosen:
        # The order of list_reviews.
        database[COLLECTION].create_index([("dataset", 1), ("suspicion", -1), ("sha256", 1)])
        # Of counting: few items wait among all that were ever decided.
        database[COLLECTION].create_index([("decision", 1), ("dataset", 1)])
    waiting = list(chosen.values())
    batches = (waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH))
    return Queued(**Counter(kind for batch in batches for kind in _queue_batch(database, batch)))


def _queue_batch(database: Any, batch: Sequence[ReviewItem]) -> Iterator[str]:
    from pymongo import UpdateOne

    keys = [name_sample(item.dataset, item.sha256) for item in batch]
    samples = read_samples(database, keys)
    known = {one["_id"]: one for one in database[COLLECTION].find({"_id": {"$in": keys}})}
    writes: list[UpdateOne] = []
    kinds: list[str] = []
    for key, item in zip(keys, batch, strict=True):
        sample, old = samples.get(key), known.get(key)
        kind = _judge(item, sample, None if old is None else read_item(old).decision, old is None)
        kinds.append(kind)
        fields = item.model_dump(exclude={"decision", "trail", "withdrawn"})
        if kind == "opened":
            fresh = fields | {"decision": None, "trail": []}
            writes.append(UpdateOne({"_id": key}, {"$setOnInsert": fresh}, upsert=True))
        elif kind == "refreshed":
            # One that somebody decides meanwhile stays as it was decided upon.
            writes.append(UpdateOne({"_id": key, "decision": None}, {"$set": fields}))
        elif kind == "reopened" and old is not None:
            event = ReviewEvent(
                event="reopen", label=item.label, by=f"run {item.run_id}", at=item.queued_at
            )
            change = {
                "$set": fields | {"decision": None},
                "$push": {"trail": event.model_dump()},
            }
            writes.append(UpdateOne({"_id": key, "decision.at": old["decision"]["at"]}, change))
    if writes:
        database[COLLECTION].bulk_write(writes, ordered=False)
    yield from kinds


def _judge(item: ReviewItem, sample: Sample | None, decision: Decision | None, is_new: bool) -> str:
    """Name of the count in Queued."""
    if not item.is_open_for(sample):
        return "outdated"
    if is_new:
        return "opened"
    if decision is None:
        return "refreshed"
    # One that was left out stays out.
    return "decided" if sample is None or decision.label == sample.label else "reopened"


def count_open(database: Any, dataset: str) -> int:
    """Items that nobody has decided."""
    return int(database[COLLECTION].count_documents({"dataset": dataset, "decision": None}))


def count_all_open(database: Any) -> dict[str, int]:
    """The same for every dataset that has one, by its name."""
    parts = [
        {"$match": {"decision": None}},
        {"$group": {"_id": "$dataset", "open": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    return {one["_id"]: int(one["open"]) for one in database[COLLECTION].aggregate(parts)}


def list_reviews(
    database: Any, dataset: str, after: Place | None = None, limit: int = 50
) -> ReviewPage:
    """A page of the open items.

    What a person decided elsewhere (./modelmill relabel, delete) is written down as decided here.
    """
    items: list[ReviewItem] = []
    while len(items) < limit:
        found = _find_open(database, dataset, after, limit - len(items))
        items += _keep_open(database, found)
        if not found:
            break
        after = Place(found[-1].suspicion, found[-1].sha256)
    return ReviewPage(items=tuple(items), open=count_open(database, dataset))


def _find_open(database: Any, dataset: str, after: Place | None, limit: int) -> list[ReviewItem]:
    query: dict[str, Any] = {"dataset": dataset, "decision": None}
    if after is not None:
        query["$or"] = [
            {"suspicion": {"$lt": after.suspicion}},
            {"suspicion": after.suspicion, "sha256": {"$gt": after.sha256}},
        ]
    order = [("suspicion", -1), ("sha256", 1)]
    return [read_item(one) for one in database[COLLECTION].find(query).sort(order).limit(limit)]


def _keep_open(database: Any, items: Sequence[ReviewItem]) -> Iterator[ReviewItem]:
    samples = read_samples(database, [name_sample(one.dataset, one.sha256) for one in items])
    for item in items:
        key = name_sample(item.dataset, item.sha256)
        sample = samples.get(key)
        if item.is_open_for(sample):
            yield item
        elif sample is None:
            database[COLLECTION].delete_one({"_id": key, "decision": None})
        else:
            settle_item(database, item, _read_decision(sample), {})


def _read_decision(sample: Sample) -> Decision:
    """What the newest entry of its history says, as a verdict."""
    last = sample.history[-1]
    verdict: Verdict = "delete" if last.state == "deleted" else "relabel"
    return Decision(verdict=verdict, label=last.label, by=last.by, at=last.at)


def settle_item(
    database: Any, item: ReviewItem, decision: Decision, guard: Mapping[str, Any]
) -> bool:
    """Write a decision and its line of the trail; False where somebody else was faster."""
    event = ReviewEvent(
        event=decision.verdict, label=decision.label, by=decision.by, at=decision.at
    )
    change = {
        "$set": {"decision": decision.model_dump()},
        "$push": {"trail": event.model_dump()},
        "$unset": {"held": ""},
    }
    key = {"_id": name_sample(item.dataset, item.sha256), "decision": None}
    return bool(database[COLLECTION].update_one({**key, **guard}, change).matched_count)
