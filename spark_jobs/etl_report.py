"""What the etl found, for programs to read: etl_report.json beside the outcome."""

from collections import Counter

import pyarrow as pa

from serving.bundle.manifest import ONE, Task
from serving.job import store
from serving.job.text import list_some
from spark_jobs.findings import Findings
from spark_jobs.rejected import list_first
from spark_jobs.report_models import EtlReport
from spark_jobs.snapshots import SnapshotManifest
from spark_jobs.spec import StageCount

REPORT_FILE = "etl_report.json"
# In the log; the report has all.
MOST_CLASSES = 20


def measure_imbalance(counts: dict[str, int]) -> float:
    """Samples of the largest class over those of the smallest; at least 1.0."""
    return max(counts.values(), default=1) / min(counts.values(), default=1)


def count_flags(flags: pa.ChunkedArray) -> dict[str, int] | None:
    """Samples per flag; None where nobody looked for any."""
    if flags.null_count == len(flags):
        return None
    raised = Counter(flag for row in flags.to_pylist() for flag in row or ())
    return dict(sorted(raised.items()))


def make_report(
    kept: pa.Table,
    rejected: pa.Table,
    findings: Findings,
    *,
    dataset: str,
    rejected_by: dict[str, int],
    manifest: SnapshotManifest | None,
    task: Task = ONE,
) -> EtlReport:
    """kept: the chain's rows that were not rejected; rejected: all others.

    manifest: of the snapshot; None where the run ended before there was one.
    """
    counts = manifest.counts if manifest else {}
    classes: Counter[str] = Counter()
    for by_class in counts.values():
        classes.update(by_class)
    return EtlReport(
        dataset=dataset,
        task=task,
        snapshot_id=manifest.snapshot_id if manifest else "",
        samples=kept.num_rows + rejected.num_rows,
        kept=kept.num_rows,
        rejected=rejected.num_rows,
        rejections=list_first(rejected),
        stages=tuple(StageCount(stage=name, rejected=n) for name, n in rejected_by.items()),
        counts=counts,
        imbalance=round(measure_imbalance(classes), 3),
        flags=count_flags(kept["flags"]),
        near_duplicates=findings.near_duplicates,
        sides=findings.sides,
        balance=findings.balance,
    )


def write_report(output_uri: str, report: EtlReport) -> str:
    """Write it, tell the log what a person should look at; its URI."""
    near, sides = report.near_duplicates, report.sides
    if near is not None:
        print(
            f"near-duplicates: {near.samples_in_groups} samples in {near.groups} groups; "
            f"{near.cross_label} pairs under two labels; "
            f"{near.over_large_groups} groups too large to be copies"
        )
    if sides is not None and (sides.leaks or sides.bridges):
        print(f"sides: {sides.leaks} groups on two sides, {sides.bridges} samples left out")
    if report.flags:
        print(f"flags: {', '.join(f'{count} {flag}' for flag, count in report.flags.items())}")
    if report.balance is not None:
        shown = [f"{label} {value:g}" for label, value in report.balance.per_class.items()]
        print(f"classes balanced by {report.balance.mode}: {list_some(shown, MOST_CLASSES)}")
    uri = store.join(output_uri, REPORT_FILE)
    store.write_model(uri, report)
    return uri
