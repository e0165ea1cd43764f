"""The import job: a tree of pictures → raw segments and labelled samples."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from serving.job.errors import UserError
from spark_jobs.database import connect
from spark_jobs.importing.ledger import Ledger, NewSample
from spark_jobs.importing.reading import Picture, count_processes, read_pictures
from spark_jobs.importing.segments import SegmentWriter
from spark_jobs.importing.source import LAYOUT, Tree, list_classes, open_tree, walk
from spark_jobs.progress import Progress
from spark_jobs.spec import ImportOutcome, ImportSpec, Rejection

BATCH = 256
T = TypeVar("T")


@dataclass
class Tally:
    """What became of every file that was read."""

    read: int = 0
    added: Counter[str] = field(default_factory=Counter)
    already_there: int = 0
    conflicting: list[str] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


class Importer:
    """Sorts pictures into new, known, conflicting and rejected; writes segments as they fill."""

    def __init__(self, ledger: Ledger, raw_uri: str, title: str) -> None:
        self._ledger, self._raw_uri, self._title = ledger, raw_uri, title
        self._writer = SegmentWriter()
        self._pending: dict[str, NewSample] = {}
        self._disputes: list[tuple[str, str]] = []
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
        known = self._ledger.labels([p.sha256 for p in readable])
        for picture in readable:
            self._sort(picture, known.get(picture.sha256))
        if self._writer.is_full:
            self.flush()

    def _sort(self, picture: Picture, known_label: str | None) -> None:
        item, sha256 = picture.item, picture.sha256
        pending = self._pending.get(sha256)
        label = pending.label if pending else known_label
        if label is None:
            self._pending[sha256] = NewSample(
                sha256, item.name, item.label, item.split, len(picture.content)
            )
            self._writer.add(sha256, item.name, picture.content)
        else:
            self._count_known(sha256, item.name, label, item.label)

    def _count_known(self, sha256: str, name: str, label: str, claimed: str) -> None:
        pending = sha256 in self._pending
        if label == claimed or (not pending and self._ledger.is_settled(sha256, claimed)):
            self.tally.already_there += 1
            return
        self.tally.conflicting.append(name)
        if pending:
            self._disputes.append((sha256, claimed))
        else:
            self._ledger.dispute(sha256, claimed)

    def flush(self) -> None:
        """Write the segment first, then its samples: a kill leaves an unused file at worst."""
        pending, self._pending = self._pending, {}
        if pending:
            writer, self._writer = self._writer, SegmentWriter()
            segment = writer.write(self._raw_uri)
            for batch in _batched(pending.values()):
                self._add(batch, segment)
        for sha256, claimed in self._disputes:
            self._ledger.dispute(sha256, claimed)
        self._disputes = []

    def _add(self, batch: list[NewSample], segment: str) -> None:
        added = self._ledger.add(batch, segment)
        self.tally.added.update(s.label for s in batch if s.sha256 in added)
        # The rest was added by another import since we looked.
        others = [sample for sample in batch if sample.sha256 not in added]
        known = self._ledger.labels([sample.sha256 for sample in others])
        for sample in others:
            self._count_known(sample.sha256, sample.name, known[sample.sha256], sample.label)
        self._ledger.write_dataset(self._title, {s.label for s in batch if s.sha256 in added})


def _batched(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def _check_classes(tree: Tree, ledger: Ledger) -> None:
    found = list_classes(tree)
    if len(set(found) | set(ledger.known_classes())) < 2:
        raise UserError(f"{tree.root} holds a single class folder, {found[0]!r}. {LAYOUT}")


def _print_summary(outcome: ImportOutcome) -> None:
    for name in outcome.conflicting:
        print(f"conflict: {name} is in the dataset under another label; it is left out")
    for rejection in outcome.rejected:
        print(f"rejected: {rejection.name}: {rejection.reason}")
    print(
        f"{outcome.dataset}: read {outcome.read}, added {outcome.added}, "
        f"already there {outcome.already_there}, conflicts {outcome.conflicts}, "
        f"rejected {len(outcome.rejected)}",
        flush=True,
    )


def _import_tree(tree: Tree, importer: Importer, dataset: str) -> Tally:
    progress = Progress(f"import {dataset}", sum(1 for _ in walk(tree)))
    for batch in _batched(read_pictures(tree, walk(tree), count_processes())):
        importer.take(batch)
        progress.advance(len(batch))
    importer.flush()
    progress.close()
    return importer.tally


def run_import(spec: ImportSpec) -> ImportOutcome:
    """Import a tree; what is there already stays as it is."""
    tree = open_tree(spec.source_uri)
    with connect() as database:
        ledger = Ledger(database, spec.dataset, spec.actor)
        _check_classes(tree, ledger)
        tally = _import_tree(tree, Importer(ledger, spec.raw_uri, spec.title), spec.dataset)
    outcome = ImportOutcome(
        dataset=spec.dataset,
        read=tally.read,
        added=tally.added.total(),
        already_there=tally.already_there,
        conflicts=len(tally.conflicting),
        conflicting=tuple(tally.conflicting),
        rejected=tuple(tally.rejected),
        added_per_class=dict(sorted(tally.added.items())),
    )
    _print_summary(outcome)
    return outcome
