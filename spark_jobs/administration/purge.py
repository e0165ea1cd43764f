"""The purge job: bytes of deleted samples leave the raw segments for good.

Of each segment that holds one, the others are written to a new segment; samples are pointed
there; then the old one is removed. Pictures of the review queue that are no samples lie there,
too: those that wait are kept, those that a person left out go with the purge. One purge of a
dataset works at a time: another would write anew what this one takes out. Killed at any line, it
is complete when it runs again.
"""

import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from serving.job import store
from serving.job.errors import UserError
from serving.job.progress import Progress
from serving.job.reviews import COLLECTION
from serving.job.samples import name_sample
from serving.job.segments import SegmentWriter
from spark_jobs.administration.lease import Lease, hold_lease
from spark_jobs.administration.raw import name_segment, open_segment
from spark_jobs.administration.spec import PurgeOutcome, PurgeSpec
from spark_jobs.database import connect
from spark_jobs.snapshots import list_purged, read_labels

BATCH = 1000
# Between looks whether a question is still being decided.
HELD_SECONDS = 0.2


class Purge:
    """One dataset's segments, without some samples."""

    def __init__(self, database: Any, spec: PurgeSpec, lease: Lease) -> None:
        self._database, self._samples, self._spec = database, database["samples"], spec
        self._reviews = database[COLLECTION]
        self._lease = lease
        self._gone = frozenset(spec.sha256s)
        self._left_out = self._find_left_out()
        self.left_out: set[str] = set()

    @property
    def size(self) -> int:
        """Samples that are purged."""
        return len(self._gone)

    def _batch_ids(self, hashes: Collection[str]) -> Iterator[dict[str, Any]]:
        """Queries that together mean these samples."""
        ids = [name_sample(self._spec.dataset, sha256) for sha256 in sorted(hashes)]
        for start in range(0, len(ids), BATCH):
            yield {"_id": {"$in": ids[start : start + BATCH]}}

    def _find(self, condition: dict[str, Any]) -> set[str]:
        """Those of the samples to be purged that fit."""
        return {
            one["sha256"]
            for part in self._batch_ids(self._gone)
            for one in self._samples.find(part | condition, {"sha256": 1})
        }

    def _find_left_out(self) -> frozenset[str]:
        """Served pictures that a person deleted from the queue; samples since then are none."""
        left = {
            "dataset": self._spec.dataset,
            "decision.verdict": "delete",
            "served": {"$ne": None},
        }
        found = {one["sha256"] for one in self._reviews.find(left, {"sha256": 1})}
        there = {
            one["sha256"]
            for part in self._batch_ids(found)
            for one in self._samples.find(part, {"sha256": 1})
        }
        return frozenset(found - there)

    def check_deleted(self) -> None:
        """UserError unless each is there and has a tombstone."""
        deleted = self._find({"state": "deleted"})
        if self._gone - deleted:
            raise UserError(
                f"{len(self._gone - deleted)} of {len(self._gone)} samples are not deleted "
                f"(first: {min(self._gone - deleted)}): only deleted ones are purged. Somebody may "
                "have relabelled them meanwhile: ./modelmill delete again."
            )

    def claim(self) -> None:
        """From here on they cannot be made active again; what was relabelled just now stays."""
        for part in self._batch_ids(self._gone):
            self._samples.update_many(part | {"state": "deleted"}, {"$set": {"purging": True}})
        claimed = self._find({"purging": True})
        for sha256 in sorted(self._gone - claimed):
            print(f"{sha256} was relabelled meanwhile: it stays", flush=True)
        self._gone = frozenset(claimed)

    def purge_segment(self, uri: str) -> bool:
        """Take the samples out of one segment; False where it holds none of them."""
        segment = open_segment(uri)
        hashes = set(segment.read(columns=["sha256"])["sha256"].to_pylist())
        if not (self._gone | self._left_out) & hashes:
            return False
        addresses = self._find_addresses(uri)
        there = {"dataset": self._spec.dataset}
        asked = there | {"decision": None, "served.segment": {"$in": addresses}}
        # Questions first: what is decided between the two is among the samples then.
        waiting = {one["sha256"] for one in self._reviews.find(asked, {"sha256": 1})}
        pointing = there | {"segment": {"$in": addresses}}
        pointed = {one["sha256"] for one in self._samples.find(pointing, {"sha256": 1})}
        # A row that neither a sample nor an open question points to is another import's leftover.
        kept = (waiting | pointed) - self._gone
        self.left_out |= (self._left_out & hashes) - kept
        if kept:
            self._move(segment, kept, addresses)
        self._lease.confirm()
        store.delete(uri)
        return True

    def _find_addresses(self, uri: str) -> list[str]:
        """What samples and reviews call it: the store's address may have changed since."""
        own = {"dataset": self._spec.dataset}
        known = set(self._samples.distinct("segment", own))
        known |= set(self._reviews.distinct("served.segment", own | {"served": {"$ne": None}}))
        return [one for one in known if name_segment(one) == name_segment(uri)]

    def _move(self, segment: Any, kept: Collection[str], addresses: list[str]) -> None:
        writer, written = SegmentWriter(), set()
        for number in range(segment.num_row_groups):
            group = segment.read_row_group(number)
            rows = group.filter(pc.is_in(group["sha256"], pa.array(sorted(kept), pa.string())))
            for row in rows.to_pylist():
                if row["sha256"] not in written:
                    writer.add(row["sha256"], row["name"], row["content"])
                    written.add(row["sha256"])
        if not written:
            return
        self._lease.confirm()
        self._point(written, addresses, writer.write(self._spec.raw_uri))

    def _point(self, hashes: Collection[str], addresses: list[str], moved: str) -> None:
        """What lies in the old segment lies in the new one."""
        self._point_in(self._reviews, "served.segment", hashes, addresses, moved)
        # Whoever holds a question may have read where it lay, and makes a sample that points there.
        while self._reviews.find_one(
            {
                "dataset": self._spec.dataset,
                "served.segment": moved,
                "held.until": {"$gt": datetime.now(UTC)},
            }
        ):
            self._lease.confirm()
            time.sleep(HELD_SECONDS)
        self._point_in(self._samples, "segment", hashes, addresses, moved)

    def _point_in(
        self, found: Any, field: str, hashes: Collection[str], addresses: list[str], moved: str
    ) -> None:
        for part in self._batch_ids(hashes):
            self._lease.confirm()
            found.update_many(part | {field: {"$in": addresses}}, {"$set": {field: moved}})

    def mark_samples(self) -> None:
        """Their tombstones point nowhere from here on."""
        for part in self._batch_ids(self._gone):
            self._samples.update_many(
                part | {"purging": True}, {"$set": {"segment": ""}, "$unset": {"purging": ""}}
            )

    def mark_snapshots(self) -> tuple[str, ...]:
        """Note in each snapshot how many of its samples are gone; ids of those that held one."""
        purged = list_purged(self._database, self._spec.dataset)
        marked = []
        for one in self._database["snapshots"].find({"dataset": self._spec.dataset}, {"_id": 1}):
            try:
                table = read_labels(self._spec.snapshots_uri, one["_id"])
            except UserError as error:
                print(error, flush=True)
                continue
            hashes = set(table["sha256"].to_pylist())
            if hashes & self._gone:
                # Counted anew, so that a second run counts nothing twice.
                count = {"$set": {"purged": len(hashes & purged)}}
                self._database["snapshots"].update_one({"_id": one["_id"]}, count)
                marked.append(one["_id"])
        return tuple(sorted(marked))


def purge_samples(spec: PurgeSpec) -> PurgeOutcome:
    """Purge; every segment of the dataset is looked at, for a killed import may have left bytes."""
    with connect() as database, hold_lease(database, f"purge of {spec.dataset}") as lease:
        purge = Purge(database, spec, lease)
        purge.check_deleted()
        purge.claim()
        # Before the samples: once those are marked, nobody would come back to do it.
        snapshots = purge.mark_snapshots()
        names = [n for n in store.list_names(spec.raw_uri) if n.endswith(".parquet")]
        progress = Progress(f"purge {spec.dataset}", len(names))
        rewritten = 0
        for name in names:
            rewritten += purge.purge_segment(store.join(spec.raw_uri, name))
            progress.advance()
        progress.close()
        purge.mark_samples()
        return PurgeOutcome(
            purged=purge.size,
            segments=rewritten,
            snapshots=snapshots,
            left_out=len(purge.left_out),
        )
