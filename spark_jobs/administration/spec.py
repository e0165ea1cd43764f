"""What the jobs on data that is there already accept and answer."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from serving.bundle.manifest import ONE, Task
from serving.job.evaluation import Paired
from serving.job.inputs import Input
from serving.job.spec import JobSpec, Name, Spec
from spark_jobs.spec import Rejection, StageSpec


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
    """Write pictures below target_uri, a local folder: side/class/name, or class/name; labels.csv.

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


class PurgeSpec(AdministrationJob):
    """Remove the bytes of deleted samples from the dataset's raw segments."""

    kind: Literal["purge"] = "purge"
    dataset: Name
    raw_uri: str
    snapshots_uri: str
    sha256s: tuple[str, ...]


class PurgeOutcome(Spec):
    """segments: how many were written anew or removed; snapshots: ids of those that held one.

    left_out: pictures that a person had left out of the review queue; their bytes are gone, too.
    """

    purged: int
    segments: int
    snapshots: tuple[str, ...]
    left_out: int = 0


class ListStagesSpec(AdministrationJob):
    """Describe every stage, the user's own too."""

    kind: Literal["list_stages"] = "list_stages"


class StageParam(Spec):
    """One parameter; default is meaningless where it is required."""

    name: str
    type: str
    limits: str = ""
    required: bool
    default: JsonValue = None
    description: str = ""


class StageInfo(Spec):
    """One stage; origin: its file where it is the user's; problem: why it cannot be used."""

    name: str
    origin: str = ""
    doc: str = ""
    params_doc: str = ""
    params: tuple[StageParam, ...] = ()
    problem: str = ""


class StageList(Spec):
    """Those that ship first."""

    stages: tuple[StageInfo, ...]


class TryStageSpec(AdministrationJob):
    """Run one stage on a few decoded samples; whatever it writes stays below output_uri.

    input: what a run's first would be; stages see pictures as it fits them.
    """

    kind: Literal["try_stage"] = "try_stage"
    dataset: Name
    raw_uri: str
    stage: StageSpec
    limit: int = Field(ge=1)
    input: Input


class ValueChange(Spec):
    """A value of one sample, as text, before and after."""

    name: str
    before: str
    after: str


class ColumnChange(Spec):
    """rows: how many have another value; added: the stage made the column."""

    column: str
    added: bool
    rows: int
    examples: tuple[ValueChange, ...]


class TryStageOutcome(Spec):
    """rejected_before: rows that decoding had rejected already."""

    stage: str
    rows: int
    rejected_before: int
    rejected: tuple[Rejection, ...]
    changed: tuple[ColumnChange, ...]


class CompareRunsSpec(AdministrationJob):
    """Compare two runs' predictions: folders of Parquet files, as an evaluation writes them.

    task: of the dataset; of several labels a sample, each class is compared on those that have it.
    """

    kind: Literal["compare_runs"] = "compare_runs"
    task: Task = ONE
    one_uri: str
    other_uri: str


class ClassComparison(Spec):
    """paired: the first run in the challenger's place. chance: as in RunComparison."""

    label: str
    paired: Paired
    chance: float


class Difference(Spec):
    """A test sample of which the two models say different things."""

    sha256: str
    name: str
    label: str
    one: str
    other: str


class RunComparison(Spec):
    """Two models on the `samples` test samples that both runs have under the same label.

    relabelled: those that both have under different ones, left out. chance: of a difference this
    large or larger, were both equally good (McNemar's exact test, two-sided).
    """

    samples: int
    one_samples: int
    other_samples: int
    relabelled: int
    paired: Paired
    chance: float
    classes: tuple[ClassComparison, ...]
    differing: tuple[Difference, ...]


AdministrationSpec = Annotated[
    DiffSnapshotsSpec | ExportSpec | PurgeSpec | ListStagesSpec | TryStageSpec | CompareRunsSpec,
    Field(discriminator="kind"),
]
