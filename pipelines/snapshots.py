"""Which snapshots there are."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.bundle.manifest import ONE, Task
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.job.text import list_some, suggest

SHOWN = 5


class SideCount(BaseModel):
    """Samples of one class on one side."""

    model_config = ConfigDict(frozen=True)

    side: str
    label: str
    samples: int


class SnapshotSummary(BaseModel):
    """One snapshot; purged: how many of its samples have no bytes any more.

    counts: a sample with several labels counts under each. sides: side → samples; empty in older
    ones, whose samples have one label.
    """

    model_config = ConfigDict(frozen=True)

    snapshot_id: str
    dataset: str
    task: Task = ONE
    cutoff: datetime
    samples: int
    counts: tuple[SideCount, ...]
    sides: dict[str, int] = {}
    purged: int

    def count_side(self, side: str) -> int:
        """Samples on one side."""
        if self.sides:
            return self.sides[side]
        return sum(count.samples for count in self.counts if count.side == side)


def list_snapshots(database: Any, dataset: str) -> tuple[SnapshotSummary, ...]:
    """A dataset's snapshots, newest first."""
    return tuple(
        SnapshotSummary(
            snapshot_id=one["_id"],
            dataset=one["dataset"],
            task=one.get("task", ONE),
            cutoff=one["cutoff"],
            samples=one["samples"],
            counts=tuple(SideCount(**count) for count in one["counts"]),
            sides=one.get("sides", {}),
            purged=one.get("purged", 0),
        )
        for one in database["snapshots"].find({"dataset": dataset}).sort("cutoff", -1)
    )


def find_snapshot(database: Any, dataset: str, text: str) -> SnapshotSummary:
    """The snapshot with this id, or the only one whose id begins so. Raises UserError."""
    known = list_snapshots(database, dataset)
    found = [one for one in known if text and one.snapshot_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not known:
        raise UserError(
            f"snapshot was {text!r}, but {dataset!r} has none yet: each training run makes one."
        )
    ids = [one.snapshot_id for one in found or known]
    words = f"which {len(ids)} ids begin with" if found else "but no snapshot's id begins so"
    raise UserError(
        f"snapshot was {text!r}, {words}. Those of {dataset!r}: {list_some(ids, SHOWN)}."
        f"{'' if found else suggest(text, ids)}"
    )


def check_snapshot(dataset: str, snapshot_id: str) -> None:
    """UserError unless the dataset has this snapshot and every sample of it has its bytes.

    A run that ended after a purge began may have made one that says nothing of it: etl looks again.
    """
    with use_database() as database:
        found = find_snapshot(database, dataset, snapshot_id)
    if found.purged:
        raise UserError(
            f"Snapshot {found.snapshot_id} cannot be trained on again: {found.purged} of its "
            f"{found.samples} samples were purged. Leave the snapshot empty to train on what is "
            "there."
        )
