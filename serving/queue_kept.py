"""The job behind ./modelmill review --deployment: kept requests become questions.

A picture's bytes go to a raw segment first, the question to the queue second, and the bytes leave
the folder of kept requests last: killed at any line, it is complete when it runs again. The note
beside them stays until the question is decided, so that its sender may still say what is right.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from serving import environment
from serving.bundle.manifest import MANIFEST_FILE, SEVERAL, Manifest
from serving.desired import read_desired
from serving.job import store
from serving.job.errors import UserError
from serving.job.labels import check_label, read_task
from serving.job.mongo import use_database
from serving.job.reviews import COLLECTION, ReviewItem, queue_reviews
from serving.job.samples import name_sample
from serving.job.segments import SegmentWriter
from serving.job.served import ServedPicture
from serving.keeping import Feedback, KeptRequest, replace_note
from serving.kept_files import NoFileError, read_kept
from serving.spec import QueueKeptOutcome, QueueKeptSpec


class _Kept(NamedTuple):
    """A kept request's note, what it says, and what its sender said."""

    note: Path
    request: KeptRequest
    feedback: str | None
    sha256: str

    @property
    def picture(self) -> Path:
        return self.note.with_suffix(".bin")

    def drop(self) -> None:
        """Leave nothing of it."""
        for suffix in (".bin", ".feedback.json", ".json"):
            self.note.with_suffix(suffix).unlink(missing_ok=True)


def list_kept(folder: Path) -> Iterator[_Kept]:
    """All of the folder; one that is being written waits for the next time.

    What is no plain file is told, and left alone.
    """
    for note in sorted(folder.glob("*.json")):
        if note.name.endswith(".feedback.json"):
            continue
        try:
            request = KeptRequest.model_validate_json(read_kept(note))
            said = _read_if_there(note.with_suffix(".feedback.json"))
            feedback = None if said is None else Feedback.model_validate_json(said).label
            picture = _read_if_there(note.with_suffix(".bin"))
        except (ValidationError, FileNotFoundError):
            continue
        except NoFileError as error:
            print(error, flush=True)
            continue
        sha256 = request.sha256 if picture is None else hashlib.sha256(picture).hexdigest()
        if sha256:
            yield _Kept(note, request, feedback, sha256)


def _read_if_there(path: Path) -> bytes | None:
    try:
        return read_kept(path)
    except FileNotFoundError:
        return None


def _read_again(one: _Kept) -> bytes | None:
    """The picture whose hash was noted; None, and told, where another lies there by now."""
    try:
        content = _read_if_there(one.picture)
    except NoFileError as error:
        print(error, flush=True)
        return None
    if content is None or hashlib.sha256(content).hexdigest() != one.sha256:
        print(f"{one.picture} has changed while it was read: it is left alone.", flush=True)
        return None
    return content


def find_dataset(database: Any, deployment: str) -> str:
    """The dataset that the version in service has learned from; UserError where none serves."""
    state = read_desired(database, deployment)
    if state is None:
        raise UserError(
            f"deployment was {deployment!r}, but nothing serves under that name. "
            "./modelmill deployments lists those that do."
        )
    manifest = store.read_model(store.join(state.bundle_uri, MANIFEST_FILE), Manifest)
    return manifest.lineage.dataset


class Queueing:
    """One deployment's kept requests, on their way into one dataset's queue."""

    def __init__(self, database: Any, deployment: str, dataset: str, raw_uri: str) -> None:
        self._database, self._deployment, self._dataset = database, deployment, dataset
        self._raw_uri = raw_uri
        self._task = read_task(database, dataset)
        self.queued = self.told = self.known = 0

    def take(self, kept: list[_Kept]) -> None:
        """Queue the new ones, and write what senders have said of those that wait."""
        fresh: dict[str, _Kept] = {}
        for one in kept:
            key = {"_id": name_sample(self._dataset, one.sha256)}
            item = self._database[COLLECTION].find_one(key, {"decision": 1})
            if item is not None and item["decision"] is None:
                self.told += self._tell(key, one)
                self._forget_bytes(one)
            elif item is not None or self._database["samples"].find_one(key, {"_id": 1}):
                self.known += 1
                one.drop()
            elif not one.picture.exists():
                one.drop()
            elif one.sha256 not in fresh or one.feedback is not None:
                fresh[one.sha256] = one
        taken = self._queue(list(fresh.values()))
        # The same picture may have been sent several times.
        for one in kept:
            if one.sha256 in taken:
                self._forget_bytes(one)

    def _queue(self, fresh: list[_Kept]) -> set[str]:
        """Hashes of those that wait for a person now."""
        taken = set()
        while fresh:
            writer, batch = SegmentWriter(), []
            while fresh and not writer.is_full:
                one = fresh.pop()
                content = _read_again(one)
                if content is not None:
                    writer.add(one.sha256, self._name(one), content)
                    batch.append((one, len(content)))
            if batch:
                segment = writer.write(self._raw_uri)
                items = [self._ask(one, segment, size) for one, size in batch]
                self.queued += queue_reviews(self._database, items).opened
                taken |= {one.sha256 for one, _ in batch}
        return taken

    def _name(self, one: _Kept) -> str:
        # Callers choose request ids: the note's name is a hash.
        return f"served/{self._deployment}/{one.note.stem}"

    def _clean(self, label: str | None) -> str | None:
        """What a sender said, where it could be a class."""
        try:
            return label and check_label(label, (), new=True, task=self._task)
        except (UserError, ValueError):
            return None

    def _suspect(self, one: _Kept) -> float:
        """How likely the answer is wrong, 0 to 1: surely, where its sender says so."""
        # Several labels are the same in any order.
        said = self._clean(one.feedback) if self._task == SEVERAL else one.feedback
        contradicted = one.feedback is not None and said != one.request.label
        return 1.0 if contradicted else 1 - one.request.score

    def _score(self, request: KeptRequest) -> tuple[tuple[str, float], ...]:
        """Of several labels it is known how sure the least sure is, and no label's own score."""
        if self._task == SEVERAL or not request.label:
            return ()
        return ((request.label, request.score),)

    def _ask(self, one: _Kept, segment: str, size_bytes: int) -> ReviewItem:
        feedback = self._clean(one.feedback)
        request = one.request
        return ReviewItem(
            dataset=self._dataset,
            sha256=one.sha256,
            name=self._name(one),
            label=feedback or request.label,
            predicted=request.label,
            scores=self._score(request),
            source="served",
            run_id="",
            suspicion=self._suspect(one),
            queued_at=datetime.now(UTC),
            served=ServedPicture(
                deployment=self._deployment,
                version=request.version,
                request_id=request.request_id,
                picture=request.picture,
                at=request.at,
                segment=segment,
                size_bytes=size_bytes,
                feedback=feedback,
            ),
        )

    def _tell(self, key: dict[str, Any], one: _Kept) -> int:
        feedback = self._clean(one.feedback)
        if feedback is None:
            return 0
        news = {"decision": None, "source": "served", "served.feedback": {"$ne": feedback}}
        said = {"label": feedback, "served.feedback": feedback, "suspicion": self._suspect(one)}
        found = self._database[COLLECTION].update_one(key | news, {"$set": said})
        return int(found.modified_count)

    def _forget_bytes(self, one: _Kept) -> None:
        """The note remembers which picture it was."""
        noted = one.request.model_copy(update={"sha256": one.sha256})
        if noted != one.request:
            replace_note(one.note, noted.model_dump_json())
        one.picture.unlink(missing_ok=True)


def queue_kept(spec: QueueKeptSpec) -> QueueKeptOutcome:
    """Everything that lies there; a second time changes nothing."""
    with use_database() as database:
        dataset = find_dataset(database, spec.deployment)
        queueing = Queueing(database, spec.deployment, dataset, store.join(spec.raw_root, dataset))
        queueing.take(list(list_kept(environment.kept_folder(spec.deployment))))
    return QueueKeptOutcome(
        dataset=dataset, queued=queueing.queued, told=queueing.told, known=queueing.known
    )
