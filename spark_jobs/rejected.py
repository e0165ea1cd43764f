"""Samples that a run leaves out: written down, shown, and summed up in a sentence."""

import io
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.job import store
from serving.job.text import printable
from spark_jobs.arrays import make_array
from spark_jobs.report_models import RejectedSample

REJECTED = pa.schema([(name, pa.string()) for name in ("sha256", "name", "label", "reason")])
BYTES_MISSING = "its raw bytes are missing: import it again"
SHOWN = 20
REASONS = 3
LONGEST_REASON = 120


def write_rejected(uri: str, rows: pa.Table, missing: pa.Table) -> pa.Table:
    """Write rejected.parquet, rows of REJECTED by name, and show the first.

    rows: the chain's; missing: sha256, name and label of samples without bytes.
    """
    stages = rows.filter(pc.is_valid(rows["reject_reason"]))
    columns = stages.select(["sha256", "name", "label", "reject_reason"])
    reasons = make_array([BYTES_MISSING] * missing.num_rows, pa.string())
    table = pa.concat_tables(
        [
            columns.rename_columns(REJECTED.names).cast(REJECTED),
            missing.append_column("reason", reasons).cast(REJECTED),
        ]
    ).sort_by("name")
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    store.write_bytes(store.join(uri, "rejected.parquet"), buffer.getvalue())
    for one in list_first(table):
        print(f"rejected: {printable(one.name)}: {one.reason}")
    return table


def list_first(rejected: pa.Table) -> tuple[RejectedSample, ...]:
    """Those that a report shows."""
    columns = rejected.slice(0, SHOWN).select(["sha256", "name", "reason"])
    return tuple(RejectedSample(**row) for row in columns.to_pylist())


def sum_up(rejected: pa.Table) -> str:
    """How many were left out, and the most frequent reasons."""
    counts = Counter(rejected["reason"].to_pylist())
    first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:REASONS]
    reasons = ", ".join(f"{reason[:LONGEST_REASON]} ({count})" for reason, count in first)
    return f"{rejected.num_rows} were left out; most often: {reasons}"
