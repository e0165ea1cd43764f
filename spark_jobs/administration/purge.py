"""The purge job: bytes of deleted samples leave the raw segments for good.

Of each segment that holds one, the others are written to a new segment; samples are pointed
there; then the old one is removed. Killed at any line, it is complete when it runs again.
"""

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from serving.job import store
from serving.job.errors import UserError
from serving.job.samples import name_sample
from spark_jobs.administration.raw import name_segment, open_segment
from spark_jobs.administration.spec import PurgeOutcome, PurgeSpec
from spark_jobs.database import connect
from spark_jobs.importing.segments import SegmentWriter
from spark_jobs.progress import Progress
from spark_jobs.snapshots import read_labels

BATCH = 1000


class Purge:
    """One dataset's segments, without some samples."""

    def __init__(self, database: Any, spec: PurgeSpec) -> None:
        self._database, self._samples, self._spec = database, database["samples"], spec
        self._gone = frozenset(spec.sha256s)

    def check_deleted(self) -> None:
        """UserError unless each is there and has a tombstone."""
        ids = [name_sample(self._spec.dataset, sha256) for sha256 in self._gone]
        deleted = set()
        for start in range(0, len(ids), BATCH):
            wanted = {"_id": {"$in": ids[start : start + BATCH]}, "state": "deleted"}
            deleted |= {one["sha256"] for one in self._samples.find(wanted, {"sha256": 1})}
        if self._gone - deleted:
            raise UserError(
                f"{len(self._gone - deleted)} of {len(self._gone)} samples are not deleted "
                f"(first: {min(self._gone - deleted)}): only deleted ones are purged. Somebody may "
                "have relabelled them meanwhile: ./modelmill delete again."
            )

    def purge_segment(self, uri: str) -> bool:
        """Take the samples out of one segment; False where it holds none of them."""
        segment = open_segment(uri)
        hashes = segment.read(columns=["sha256"])["sha256"].to_pylist()
        if not self._gone & set(hashes):
            return False
        addresses = self._find_addresses(uri)
        pointed = self._samples.find(
            {"dataset": self._spec.dataset, "segment": {"$in": addresses}}, {"sha256": 1}
        )
        # A row that no sample points to is another import's leftover.
        kept = {one["sha256"] for one in pointed} - self._gone
        if kept:
            self._move(segment, kept, addresses)
        store.delete(uri)
        return True

    def _find_addresses(self, uri: str) -> list[str]:
        """What samples call this segment: the store's address may have changed since."""
        known = self._samples.distinct("segment", {"dataset": self._spec.dataset})
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
        moved = writer.write(self._spec.raw_uri)
        ids = [name_sample(self._spec.dataset, sha256) for sha256 in sorted(written)]
        for start in range(0, len(ids), BATCH):
            self._samples.update_many(
                {"_id": {"$in": ids[start : start + BATCH]}, "segment": {"$in": addresses}},
                {"$set": {"segment": moved}},
            )

    def mark_samples(self) -> None:
        """Their tombstones point nowhere from here on."""
        ids = [name_sample(self._spec.dataset, sha256) for sha256 in sorted(self._gone)]
        for start in range(0, len(ids), BATCH):
            wanted = {"_id": {"$in": ids[start : start + BATCH]}}
            self._samples.update_many(wanted, {"$set": {"segment": ""}})

    def mark_snapshots(self) -> tuple[str, ...]:
        """Note in each snapshot how many of its samples are gone; ids of those that held one."""
        purged = {
            one["sha256"]
            for one in self._samples.find(
                {"dataset": self._spec.dataset, "segment": ""}, {"sha256": 1}
            )
        }
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
    with connect() as database:
        purge = Purge(database, spec)
        purge.check_deleted()
        names = [n for n in store.list_names(spec.raw_uri) if n.endswith(".parquet")]
        progress = Progress(f"purge {spec.dataset}", len(names))
        rewritten = 0
        for name in names:
            rewritten += purge.purge_segment(store.join(spec.raw_uri, name))
            progress.advance()
        progress.close()
        purge.mark_samples()
        return PurgeOutcome(
            purged=len(spec.sha256s), segments=rewritten, snapshots=purge.mark_snapshots()
        )
