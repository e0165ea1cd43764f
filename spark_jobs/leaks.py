"""Has a model learned from today's test side? By identical bytes and by near-duplicate group."""

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.bundle.manifest import Lineage
from serving.job import store
from spark_jobs.arrays import make_array
from spark_jobs.snapshots import LABELS_FILE
from spark_jobs.spec import EvaluateSpec

COLUMNS = ("sha256", "group", "side")
# The val side stops a training and chooses among its trials, so it counts as learned, too.
LEARNED = ("train", "val")


@dataclass(frozen=True)
class Leaks:
    """Test samples, by sha256: those a model has learned from, and copies of such ones."""

    same: frozenset[str] = frozenset()
    copies: frozenset[str] = frozenset()

    @property
    def either(self) -> frozenset[str]:
        """All of them."""
        return self.same | self.copies


def find_leaks(today: pa.Table, learned: pa.Table) -> Leaks:
    """today: sha256, group and side of the snapshot that is tested on; learned: of the trained one.

    A group's name may change as it grows, so what was learned is also looked up in today's groups.
    """
    learned = learned.filter(pc.is_in(learned["side"], make_array(LEARNED, pa.string())))
    hashes = learned["sha256"].combine_chunks()
    test = today.filter(pc.is_in(today["side"], make_array(["test"], pa.string())))
    met_today = today.filter(pc.is_in(today["sha256"], hashes))
    groups = pa.concat_arrays(
        [learned["group"].combine_chunks(), met_today["group"].combine_chunks()]
    ).drop_null()
    same = pc.is_in(test["sha256"], hashes)
    related = pc.is_in(test["group"], groups)
    return Leaks(
        same=_collect(test, same),
        copies=_collect(test, pc.and_(related, pc.invert(same))),
    )


def _collect(rows: pa.Table, chosen: Any) -> frozenset[str]:
    return frozenset(rows.filter(chosen)["sha256"].to_pylist())


def find_all_leaks(spec: EvaluateSpec, theirs: Lineage | None) -> tuple[Leaks, Leaks | None]:
    """The challenger's and the champion's; None where nothing is known of the latter."""
    today = read_labels(spec.labels_uri)
    own = find_leaks(today, today)
    learned = None
    if theirs is not None and spec.snapshots_uri:
        learned = read_learned(theirs, spec.dataset, spec.snapshots_uri)
    return own, None if learned is None else find_leaks(today, learned)


def read_labels(uri: str) -> pa.Table:
    """COLUMNS of a snapshot's labels; raises FileNotFoundError."""
    return pq.read_table(io.BytesIO(store.read_bytes(uri)), columns=list(COLUMNS))


def read_learned(lineage: Lineage, dataset: str, snapshots_uri: str) -> pa.Table | None:
    """What a model of this lineage was trained on; None where its snapshot is gone.

    snapshots_uri: their root. Groups of another dataset mean nothing in this one.
    """
    try:
        rows = read_labels(store.join(snapshots_uri, lineage.snapshot_id, LABELS_FILE))
    except FileNotFoundError:
        return None
    if lineage.dataset == dataset:
        return rows
    none = pa.nulls(rows.num_rows, pa.string())
    return rows.set_column(rows.schema.get_field_index("group"), "group", none)
