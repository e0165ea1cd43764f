"""The import of a MongoDB collection that the user has: Spark reads it, executors do the work."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bson import json_util
from bson.errors import BSONError
from pydantic import JsonValue

from serving.job.errors import UserError
from serving.job.mongo import MONGO_VARIABLE, mongo_uri
from serving.job.store import WEBHDFS_VARIABLE
from spark_jobs.database import connect
from spark_jobs.importing.documents import (
    TALLY_DDL,
    Batches,
    Reach,
    make_importer,
    unpack_tally,
)
from spark_jobs.importing.job import check_classes
from spark_jobs.importing.label_rows import NAMES, REQUIRED, as_text, assign_roles
from spark_jobs.importing.labelling import settle_task
from spark_jobs.importing.ledger import Ledger
from spark_jobs.importing.reports import make_outcome, print_report, write_report
from spark_jobs.importing.sorting import Tally
from spark_jobs.importing.source import ROOTS_VARIABLE
from spark_jobs.session import open_session
from spark_jobs.spec import (
    SOURCE_MONGO_VARIABLE,
    ImportCollectionSpec,
    ImportOutcome,
    LabelFields,
)
from spark_jobs.stage_progress import show_progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PARTITIONERS = "com.mongodb.spark.sql.connector.read.partitioner."
# Each partition writes a segment of its own: fewer documents would make many small files.
DOCUMENTS_PER_PARTITION = 1000
MAX_PARTITIONS = 1000
TIMEOUT_MS = 10_000
COLUMNS = ("_id", "picture", "label", "split", "group")


def run_import_collection(spec: ImportCollectionSpec) -> ImportOutcome:
    """Import the documents; the collection itself is only read."""
    started_at = datetime.now(UTC)
    uri, query = _source_uri(), parse_filter(spec.filter)
    source = f"{spec.database}.{spec.collection}"
    with _open_source(uri) as client:
        collection = client[spec.database][spec.collection]
        count = collection.count_documents(query)
        roles = find_fields(collection, query, spec)
        several = spec.labels == "several" or has_lists(collection, query, roles["label"])
        labels = collection.distinct(roles["label"], query)
        partitions = choose_partitions(collection, count)
    with connect() as database:
        ledger = Ledger(database, spec.dataset, spec.actor)
        classes = sorted({as_text(label) for label in labels} - {""})
        check_classes(classes, ledger, source)
        task = settle_task(ledger, spec.title, source, several=several)
    found = f"{count} documents: " + ", ".join(f"{r} from {n!r}" for r, n in roles.items())
    found += ", several labels a sample" if several else ""
    print(f"{source}: {found}", flush=True)
    spark = open_session(f"import {spec.dataset}")
    documents = _read(spark, spec, uri, roles, partitions)
    tally = _run(documents, make_importer(spec, _find_reach(uri), task, several=several))
    if tally.read != count:
        print(
            f"{count} documents were counted at the start, {tally.read} were read: the collection"
        )
        print("changed meanwhile. Import it again for the rest.", flush=True)
    report = write_report(spec, tally, task, source=source, found=found, started_at=started_at)
    print_report(report, spec.output_uri)
    return make_outcome(spec.dataset, tally, task)


def _source_uri() -> str:
    uri = os.environ.get(SOURCE_MONGO_VARIABLE, "")
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise UserError(
            f"{SOURCE_MONGO_VARIABLE} must hold the address of the MongoDB to import from, "
            "mongodb://… (what it holds is not shown: it may be a password)."
        )
    return uri


def parse_filter(values: dict[str, JsonValue]) -> Any:
    """A query in extended JSON ({"$oid": …}, {"$date": …}) as pymongo takes it."""
    try:
        return json_util.loads(json.dumps(values))
    except (ValueError, TypeError, BSONError) as error:
        raise UserError(f"The filter {json.dumps(values)} is no query: {error}.") from None


@contextmanager
def _open_source(uri: str) -> Iterator[Any]:
    """A client; what goes wrong is told without the address, which may hold a password."""
    from pymongo import MongoClient
    from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

    unusable = "The MongoDB to import from cannot be used ({}): check the connection."
    try:
        opened = MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=TIMEOUT_MS)
    except (PyMongoError, ValueError) as error:
        raise UserError(unusable.format(type(error).__name__)) from None
    try:
        with opened as client:
            yield client
    except OperationFailure as error:
        told = (error.details or {}).get("errmsg", type(error).__name__)
        raise UserError(f"The MongoDB to import from refuses: {told}.") from None
    except ConnectionFailure as error:
        raise UserError(
            f"The MongoDB to import from does not answer ({type(error).__name__}): check the "
            "connection's host and port."
        ) from None
    except PyMongoError as error:
        raise UserError(unusable.format(type(error).__name__)) from None


def find_fields(collection: Any, query: Any, spec: ImportCollectionSpec) -> dict[str, str]:
    """Role → field: as told, else known by its name in the first document; raises UserError."""
    place = f"{spec.database}.{spec.collection}"
    first = collection.find_one(query)
    if first is None:
        if collection.find_one({}, {"_id": 1}) is None:
            raise UserError(f"{place} holds no documents, or there is no such collection.")
        raise UserError(f"No document of {place} fits the filter {json.dumps(spec.filter)}.")
    told = {role: getattr(spec.fields, role) for role in NAMES}
    for role, name in told.items():
        if name and (name.startswith("$") or not all(name.split("."))):
            raise UserError(f"{role}_field was {name!r}, which is no field's name.")
        # Any document will do: a field may be missing in some, and then that one is rejected.
        if name and collection.find_one({"$and": [query, {name: {"$exists": True}}]}) is None:
            raise UserError(f"No document of {place} has a field {name!r} ({role}_field).")
    known = assign_roles(tuple(first), LabelFields())
    roles = {role: told[role] or known.get(role, "") for role in NAMES}
    missing = [role for role in REQUIRED if not roles[role]]
    if missing:
        names = ", ".join(f"{role}_field" for role in missing)
        raise UserError(
            f"Say in {names} which field it is: the first document of {place} has "
            f"{', '.join(map(repr, first))}."
        )
    return {role: name for role, name in roles.items() if name}


def has_lists(collection: Any, query: Any, field: str) -> bool:
    """True where the first document that has this field has a list there."""
    there: list[dict[str, Any]] = [{"$match": query}, {"$match": {field: {"$exists": True}}}]
    first = collection.aggregate([*there, {"$limit": 1}, {"$project": {"label": f"${field}"}}])
    return any(isinstance(document.get("label"), list) for document in first)


def choose_partitions(collection: Any, count: int) -> int:
    """How many parts to read in; 1 where the collection cannot be cut safely.

    The connector cuts by ranges of _id, and MongoDB's comparisons never match values of another
    type: of a collection with ids of two types it would lose documents. In MongoDB's order values
    of one type stand together, so the ends tell.
    """
    ends = [collection.find_one({}, {"_id": 1}, sort=[("_id", sign)]) for sign in (1, -1)]
    if len({type(end["_id"]) for end in ends if end}) != 1:
        return 1
    return min(-(-count // DOCUMENTS_PER_PARTITION), MAX_PARTITIONS)


def _read(
    spark: "SparkSession",
    spec: ImportCollectionSpec,
    uri: str,
    roles: dict[str, str],
    partitions: int,
) -> "DataFrame":
    fields = {role: f"${name}" for role, name in roles.items()}
    pipeline = [{"$match": spec.filter}, {"$project": {"_id": 1, **fields}}]
    name = "SinglePartition" if partitions == 1 else "PaginateIntoPartitions"
    return (
        spark.read.format("mongodb")
        .schema(", ".join(f"`{column}` string" for column in COLUMNS))
        .option("connection.uri", uri)
        .option("database", spec.database)
        .option("collection", spec.collection)
        .option("aggregation.pipeline", json.dumps(pipeline))
        # Values of any type in a column of strings; parse_value gives them their type back.
        .option("outputExtendedJson", "true")
        .option("partitioner", f"{_PARTITIONERS}{name}Partitioner")
        .option("partitioner.options.max.number.of.partitions", str(partitions))
        .load()
    )


def _find_reach(uri: str) -> Reach:
    names = (WEBHDFS_VARIABLE, ROOTS_VARIABLE, "HADOOP_USER_NAME")
    variables = {name: os.environ[name] for name in names if name in os.environ}
    return Reach({**variables, MONGO_VARIABLE: mongo_uri(), SOURCE_MONGO_VARIABLE: uri})


def _run(documents: "DataFrame", importer: Callable[[Batches], Batches]) -> Tally:
    spark = documents.sparkSession
    # A batch of 16 MB documents would not fit a worker's memory.
    spark.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", "32m")
    with show_progress(spark):
        return unpack_tally(documents.mapInArrow(importer, TALLY_DDL).toArrow())
