"""What the jobs on data that is there already accept and answer."""

from typing import Annotated, Literal

from pydantic import Field

from serving.job.spec import JobSpec, Name, Spec


class AdministrationJob(JobSpec):
    """Base of these jobs: one process, no Airflow."""


class SnapshotRow(Spec):
    """A sample as a snapshot, or the dataset, holds it."""

    sha256: str
    name: str
    label: str


class LabelChange(Spec):
    """A sample whose label differs between two snapshots."""

    sha256: str
    name: str
    old: str
    new: str


class DiffSnapshotsSpec(AdministrationJob):
    """Compare two snapshots below snapshots_uri."""

    kind: Literal["diff_snapshots"] = "diff_snapshots"
    snapshots_uri: str
    old: str
    new: str


class SnapshotDiff(Spec):
    """What leads from the old snapshot to the new one; sorted by name."""

    old: str
    new: str
    added: tuple[SnapshotRow, ...]
    removed: tuple[SnapshotRow, ...]
    relabelled: tuple[LabelChange, ...]


class ExportSpec(AdministrationJob):
    """Write pictures below target_uri, a local folder: side/class/name, or class/name.

    snapshot_id empty: the dataset's active samples as they are now.
    """

    kind: Literal["export"] = "export"
    dataset: Name
    raw_uri: str
    snapshots_uri: str
    snapshot_id: str = ""
    target_uri: str


class Unexported(Spec):
    """A sample that could not be written, and why."""

    sha256: str
    name: str
    reason: str


class ExportOutcome(Spec):
    """Always samples == written + already_there + len(missing)."""

    samples: int
    written: int
    already_there: int
    missing: tuple[Unexported, ...]


AdministrationSpec = Annotated[DiffSnapshotsSpec | ExportSpec, Field(discriminator="kind")]
