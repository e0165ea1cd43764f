"""What becomes of each picture: new, known, conflicting or rejected."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from serving.bundle.manifest import Task
from serving.job.labels import list_classes
from serving.job.segments import SegmentList, SegmentWriter
from spark_jobs.importing.items import Item
from spark_jobs.importing.ledger import Known, Ledger, NewSample
from spark_jobs.importing.reading import Picture
from spark_jobs.report_models import Conflict
from spark_jobs.spec import Rejection

BATCH = 256
BATCH_BYTES = 32_000_000
T = TypeVar("T")


@dataclass
class Tally:
    """What became of every file that was read.

    restored, deleted, other_split: as ImportNotes has them.
    *_per_class: files under each class that they claim.
    """

    read: int = 0
    added: int = 0
    already_there: int = 0
    restored: int = 0
    deleted: int = 0
    other_split: int = 0
    added_per_class: Counter[str] = field(default_factory=Counter)
    already_there_per_class: Counter[str] = field(default_factory=Counter)
    conflicting: list[Conflict] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


class Sorter:
    """Takes batches of pictures; writes segments as they fill, and their samples after them."""

    def __init__(self, ledger: Ledger, raw_uri: str, task: Task) -> None:
        self._ledger, self._raw_uri, self._task = ledger, raw_uri, task
        self._writer, self._segments = SegmentWriter(), SegmentList(raw_uri)
        self._pending: dict[str, NewSample] = {}
        # sha256 → the segment that is gone.
        self._lost: dict[str, str] = {}
        self._disputes: list[tuple[str, str]] = []
        self._classes: set[str] = set()
        self._written: set[str] = set()
        self.tally = Tally()

    def take(self, pictures: list[Picture]) -> None:
        """Sort one batch."""
        self.tally.read += len(pictures)
        readable = []
        for picture in pictures:
            if picture.rejection:
                rejection = Rejection(name=picture.item.name, reason=picture.rejection)
                self.tally.rejected.append(rejection)
            else:
                readable.append(picture)
        known = self._ledger.find([p.sha256 for p in readable])
        for picture in readable:
            self._sort(picture, known.get(picture.sha256))
            # Within a batch, too: a batch of large pictures is larger than a segment.
            if self._writer.is_full:
                self.flush()
                known |= self._ledger.find([p.sha256 for p in readable])

    def _sort(self, picture: Picture, known: Known | None) -> None:
        item, sha256 = picture.item, picture.sha256
        pending = self._pending.get(sha256)
        if pending:
            known = Known(pending.label, split=pending.split)
        if known is None:
            self._pending[sha256] = NewSample(
                sha256, item.name, item.label, item.split, item.group, len(picture.content)
            )
            self._writer.add(sha256, item.name, picture.content)
            return
        if self._has_lost_bytes(sha256, known):
            self._lost[sha256] = known.segment
            self._writer.add(sha256, item.name, picture.content)
        self._count_known(item, sha256, known)

    def _has_lost_bytes(self, sha256: str, known: Known) -> bool:
        if known.deleted or not known.segment or sha256 in self._lost:
            return False
        return not self._segments.holds(known.segment)

    def _count_known(self, claim: Item | NewSample, sha256: str, known: Known) -> None:
        claimed = claim.label
        # Imports once kept the blanks around a folder's name.
        if known.label.strip() == claimed:
            claimed = known.label
        # Of samples that were there, too: an import may have been killed before it told.
        if known.label == claimed and not known.deleted:
            self._classes.update(list_classes(claimed, self._task))
        if known.label == claimed or known.deleted or claimed in known.overruled:
            self.tally.already_there += 1
            self.tally.deleted += known.deleted
            self.tally.other_split += claim.split not in (None, known.split)
            self.tally.already_there_per_class.update(list_classes(claimed, self._task))
            return
        self.tally.conflicting.append(Conflict(name=claim.name, claimed=claimed, label=known.label))
        if sha256 in self._pending:
            self._disputes.append((sha256, claimed))
        else:
            self._ledger.dispute(sha256, claimed)

    def flush(self) -> None:
        """Write the segment first, then its samples: a kill leaves an unused file at worst."""
        pending, self._pending = self._pending, {}
        lost, self._lost = self._lost, {}
        if pending or lost:
            writer, self._writer = self._writer, SegmentWriter()
            segment = writer.write(self._raw_uri)
            for batch in batched(pending.values(), BATCH):
                self._add(batch, segment)
            for part in batched(lost.items(), BATCH):
                self.tally.restored += self._ledger.restore(dict(part), segment)
        for sha256, claimed in self._disputes:
            self._ledger.dispute(sha256, claimed)
        self._disputes = []
        self._write_classes()

    def _add(self, batch: list[NewSample], segment: str) -> None:
        added = self._ledger.add(batch, segment)
        self.tally.added += len(added)
        for sample in batch:
            if sample.sha256 in added:
                classes = list_classes(sample.label, self._task)
                self.tally.added_per_class.update(classes)
                self._classes.update(classes)
        # The rest was added by another import since we looked.
        others = [sample for sample in batch if sample.sha256 not in added]
        known = self._ledger.find([sample.sha256 for sample in others])
        for sample in others:
            self._count_known(sample, sample.sha256, known[sample.sha256])

    def _write_classes(self) -> None:
        if self._classes != self._written:
            self._written = set(self._classes)
            self._ledger.add_classes(self._written)


def batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` values; the last may be shorter."""
    iterator = iter(values)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def batched_pictures(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Batches of at most BATCH pictures that end once they hold BATCH_BYTES."""
    batch: list[Picture] = []
    held = 0
    for picture in pictures:
        batch.append(picture)
        held += len(picture.content)
        if len(batch) >= BATCH or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
