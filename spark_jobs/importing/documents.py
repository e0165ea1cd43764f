"""In the executors: documents → checked pictures → raw segments and samples."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from bson import ObjectId, json_util
from bson.errors import BSONError

from serving.bundle.manifest import Task
from serving.job.errors import UserError
from serving.job.locations import split_location
from serving.job.store import WEBHDFS_VARIABLE
from spark_jobs.database import connect
from spark_jobs.importing.hdfs_tree import HdfsTree
from spark_jobs.importing.items import Item
from spark_jobs.importing.label_rows import as_labels, as_text
from spark_jobs.importing.labelling import check_labels, fit_item
from spark_jobs.importing.ledger import Ledger
from spark_jobs.importing.notes import ImportNotes
from spark_jobs.importing.reading import Picture, check_picture
from spark_jobs.importing.sorting import Sorter, Tally, batched_pictures
from spark_jobs.importing.source import (
    MISSING,
    LocalTree,
    RefusedFileError,
    check_allowed,
    check_size,
    explain_failure,
)
from spark_jobs.report_models import Conflict
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, ImportCollectionSpec, Rejection

Batches = Iterator[pa.RecordBatch]
# One row per count or name of a tally.
TALLY = pa.schema(
    [
        ("kind", pa.string()),
        ("name", pa.string()),
        ("claimed", pa.string()),
        ("detail", pa.string()),
        ("count", pa.int64()),
    ]
)
SUMS = ("read", "added", "already_there", *ImportNotes.model_fields)
COUNTERS = ("added_per_class", "already_there_per_class")
TALLY_DDL = "kind string, name string, claimed string, detail string, count long"


@dataclass(frozen=True)
class Reach:
    """The addresses that executors need, as environment variables.

    They may hold passwords: they travel with the tasks, not in Spark's configuration, which any
    user of its pages can read.
    """

    variables: dict[str, str] = field(repr=False)

    def apply(self) -> None:
        """Make them this process's: everything that opens a store or a database reads them."""
        os.environ.update(self.variables)


def make_importer(
    spec: ImportCollectionSpec, reach: Reach, task: Task, *, several: bool
) -> Callable[[Batches], Batches]:
    """The function that runs in the executors: one partition of documents → TALLY rows."""

    def run(batches: Batches) -> Batches:
        from pymongo import MongoClient

        reach.apply()
        uri = reach.variables[SOURCE_MONGO_VARIABLE]
        with connect() as database, MongoClient[dict[str, Any]](uri) as source:
            reader = PictureReader(source[spec.database], several=several)
            sorter = Sorter(Ledger(database, spec.dataset, spec.actor), spec.raw_uri, task)
            documents = (row for batch in batches for row in batch.to_pylist())
            pictures = (reader.read(row, spec.collection, task) for row in documents)
            for found in batched_pictures(pictures):
                sorter.take(found)
            sorter.flush()
        yield pack_tally(sorter.tally)

    return run


class PictureReader:
    """Fetches what a document calls its picture: bytes, a GridFS id, or a path."""

    def __init__(self, database: Any, *, several: bool) -> None:
        import gridfs

        self._several = several
        self._files = gridfs.GridFS(database)

    def read(self, row: dict[str, str | None], collection: str, task: Task) -> Picture:
        """One document, its fields as the connector's extended JSON; never raises for its sake."""
        values = {name: parse_value(value) for name, value in row.items()}
        name = f"{collection}/{as_text(values['_id'])}"
        listed = as_labels(values["label"])
        label = as_text(values["label"]) if listed is None else listed
        split, group = as_text(values["split"]), as_text(values["group"])
        labels = check_labels(label, split, group, several=self._several)
        refusal = labels.refusal
        single = [values["split"], values["group"], values["label"] if listed is None else None]
        if any(isinstance(value, list | dict) for value in single):
            refusal = "its label, split or group is no single value"
        item = Item(name, "", labels.label, labels.split, refusal, labels.group)
        item = fit_item(item, task, several=self._several)
        if item.refusal:
            return Picture(item, rejection=item.refusal)
        try:
            content = self._fetch(values["picture"])
        except (RefusedFileError, UserError) as error:
            return Picture(item, rejection=str(error))
        except OSError as error:
            return Picture(item, rejection=explain_failure(error))
        return check_picture(item, content)

    def _fetch(self, picture: object) -> bytes:
        if isinstance(picture, bytes):
            return bytes(picture)
        if isinstance(picture, ObjectId):
            return self._fetch_stored(picture)
        if isinstance(picture, str) and picture:
            return read_path(picture)
        if picture is None or picture == "":
            raise RefusedFileError("has no picture")
        raise RefusedFileError(
            f"its picture is of type {type(picture).__name__}: allowed are bytes, a GridFS id "
            "and a path"
        )

    def _fetch_stored(self, key: ObjectId) -> bytes:
        from gridfs.errors import CorruptGridFile, NoFile

        try:
            file = self._files.get(key)
            check_size(file.length)
            return bytes(file.read())
        except NoFile:
            raise RefusedFileError(f"GridFS holds no file {key}") from None
        except CorruptGridFile as error:
            raise RefusedFileError(f"its file in GridFS is damaged: {error}") from None


def read_path(place: str) -> bytes:
    """A file on HDFS, or on this machine below the import roots; raises RefusedFileError."""
    try:
        parts = split_location(place)
    except ValueError as error:
        raise RefusedFileError(f"its picture {place[:200]!r} is no path: {error}") from None
    if parts.scheme == "hdfs":
        return HdfsTree("/", os.environ[WEBHDFS_VARIABLE]).read(unquote(parts.path))
    if parts.scheme not in ("", "file") or not parts.path.startswith("/"):
        raise RefusedFileError(
            f"its picture {place[:200]!r} is no path: allowed are hdfs://HOST:PORT/PATH, "
            "file:///PATH and /PATH"
        )
    path = Path(unquote(parts.path) if parts.scheme else place)
    try:
        resolved = check_allowed(path)
    # A NUL in it, or links that lead round in a circle.
    except (ValueError, RuntimeError) as error:
        raise RefusedFileError(f"its picture {place[:200]!r} is no path: {error}") from None
    if not resolved.exists():
        raise RefusedFileError(MISSING)
    return LocalTree("/").read(str(resolved))


def parse_value(value: str | None) -> object:
    """A value as the connector writes it: strings as they are, the rest as extended JSON."""
    if value is None or value[:1] not in ("{", "["):
        return value
    try:
        found: object = json_util.loads(value)
    # A text that only looks like extended JSON fails in as many ways as there are types in it.
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, BSONError):
        return value
    return found


def pack_tally(tally: Tally) -> pa.RecordBatch:
    """A tally as rows that Spark can carry."""
    rows: list[tuple[str, str, str, str, int]] = []
    for kind in SUMS:
        rows.append((kind, "", "", "", getattr(tally, kind)))
    for kind in COUNTERS:
        rows += [(kind, "", label, "", n) for label, n in getattr(tally, kind).items()]
    rows += [("conflict", c.name, c.claimed, c.label, 1) for c in tally.conflicting]
    rows += [("rejected", r.name, "", r.reason, 1) for r in tally.rejected]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pa.RecordBatch.from_pydict(dict(zip(TALLY.names, columns, strict=True)), TALLY)


def unpack_tally(table: pa.Table) -> Tally:
    """The sum of all partitions' tallies."""
    tally = Tally()
    for row in table.to_pylist():
        name, claimed, detail, count = (row[k] for k in ("name", "claimed", "detail", "count"))
        if row["kind"] in SUMS:
            setattr(tally, row["kind"], getattr(tally, row["kind"]) + count)
        elif row["kind"] in COUNTERS:
            getattr(tally, row["kind"])[claimed] += count
        elif row["kind"] == "conflict":
            tally.conflicting.append(Conflict(name=name, claimed=claimed, label=detail))
        else:
            tally.rejected.append(Rejection(name=name, reason=detail))
    return tally
