"""Datasets and their samples, as a person asks for them."""

import difflib
import re
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.bundle.manifest import ONE, Task
from serving.job.errors import UserError
from serving.job.samples import Sample, name_sample

_HASH = re.compile(r"[0-9a-f]{8,64}")
SHOWN = 10


class DatasetSummary(BaseModel):
    """One dataset; last_import: when a picture was last added to it."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    task: Task
    active: int
    disputed: int
    deleted: int
    classes: tuple[str, ...]
    last_import: datetime | None


def list_datasets(database: Any) -> tuple[DatasetSummary, ...]:
    """Every dataset with its numbers, by name."""
    group = {
        "_id": {"dataset": "$dataset", "state": "$state"},
        "samples": {"$sum": 1},
        "last": {"$max": "$added_at"},
    }
    counts: dict[str, dict[str, int]] = {}
    last: dict[str, datetime] = {}
    for row in database["samples"].aggregate([{"$group": group}]):
        name = row["_id"]["dataset"]
        counts.setdefault(name, {})[row["_id"]["state"]] = row["samples"]
        last[name] = max(last.get(name, row["last"]), row["last"])
    return tuple(
        DatasetSummary(
            name=one["_id"],
            title=one["title"],
            task=one.get("task", ONE),
            active=counts.get(one["_id"], {}).get("active", 0),
            disputed=counts.get(one["_id"], {}).get("disputed", 0),
            deleted=counts.get(one["_id"], {}).get("deleted", 0),
            classes=tuple(one["classes"]),
            last_import=last.get(one["_id"]),
        )
        for one in database["datasets"].find().sort("_id", 1)
    )


def find_sample(database: Any, dataset: str, text: str) -> Sample:
    """The sample that a person means by a sha256, its first digits, or its source name.

    Raises UserError where it is none, or more than one.
    """
    found = _find_by_hash(database, dataset, text) if _HASH.fullmatch(text) else []
    found = found or list(database["samples"].find({"dataset": dataset, "name": text}))
    if len(found) == 1:
        return Sample.model_validate(found[0])
    if not found:
        raise UserError(_say_unknown(database, dataset, text))
    each = "\n".join(f"  {one['sha256']}  {one['label']}  {one['name']}" for one in found[:SHOWN])
    raise UserError(
        f"SAMPLE was {text!r}, which means {len(found)} samples of {dataset!r}; give more digits "
        f"of one's sha256:\n{each}"
    )


def _find_by_hash(database: Any, dataset: str, digits: str) -> list[dict[str, Any]]:
    low = name_sample(dataset, digits)
    # Between the digits and the letter after f: a range that the index on _id serves.
    return list(database["samples"].find({"_id": {"$gte": low, "$lt": f"{low}g"}}))


def _say_unknown(database: Any, dataset: str, text: str) -> str:
    names = [one["name"] for one in database["samples"].find({"dataset": dataset}, {"name": 1})]
    # The file's own name first: people leave the folder out.
    near = [name for name in names if name.rsplit("/", 1)[-1] == text][:3]
    near = near or difflib.get_close_matches(text, names, n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return (
        f"SAMPLE was {text!r}, but {dataset!r} holds no such sample. Allowed are a sha256, at "
        f"least its first 8 digits, or the file's name as it was imported, CLASS/FILE.{hint}"
    )


def list_samples(database: Any, dataset: str) -> list[Sample]:
    """All of a dataset's samples, deleted ones too, by name."""
    found = database["samples"].find({"dataset": dataset}).sort("name", 1)
    return [Sample.model_validate(document) for document in found]
