"""What the data jobs write down for people beside their outcomes."""

from datetime import datetime

from serving.job.labels import ONE, Task
from serving.job.spec import Spec
from spark_jobs.spec import Rejection, Side, StageCount


class Conflict(Spec):
    """A file whose bytes are in the dataset under another label."""

    name: str
    claimed: str
    label: str


class ClassCount(Spec):
    """What became of the files that claim one class; with several labels, each of them counts."""

    label: str
    added: int
    already_there: int
    conflicts: int


class ImportReport(Spec):
    """import_report.json: what an import read, what it recognised and what became of each file.

    read == added + already_there + len(conflicts) + len(rejected). restored: samples whose bytes
    were lost and are back; the files that brought them are counted like any other.
    """

    dataset: str
    task: Task = ONE
    source: str
    found: str
    actor: str
    started_at: datetime
    seconds: float
    read: int
    added: int
    already_there: int
    restored: int = 0
    classes: tuple[ClassCount, ...]
    conflicts: tuple[Conflict, ...]
    rejected: tuple[Rejection, ...]


class SampleGroup(Spec):
    """Samples that belong together, by name; `names` may be cut, `size` is not."""

    size: int
    labels: tuple[str, ...]
    sides: tuple[Side, ...] = ()
    names: tuple[str, ...]


class LabelledPair(Spec):
    """Two near-duplicates under two labels: one of the labels is wrong, or the defect is tiny."""

    names: tuple[str, str]
    labels: tuple[str, str]


class NearDuplicates(Spec):
    """confirmed counts pairs of one label and of two.

    full_buckets, pairs_left_out: where the search was capped. over_large: not used.
    """

    samples: int
    proposed: int
    confirmed: int
    full_buckets: int
    pairs_left_out: int
    groups: int
    samples_in_groups: int
    largest: tuple[SampleGroup, ...]
    over_large: tuple[SampleGroup, ...]
    cross_label: int
    cross_label_pairs: tuple[LabelledPair, ...]


class SideFindings(Spec):
    """leaks: groups on two sides, because the sides were given or older than the group.

    bridges: new samples left out because they resemble samples of two sides.
    """

    leaks: int
    leaking_groups: tuple[SampleGroup, ...]
    bridges: int


class EtlReport(Spec):
    """etl_report.json. imbalance: largest class over smallest; None: that stage did not run.

    rejections: the first of those that were left out; rejected.parquet has them all.
    """

    dataset: str
    snapshot_id: str
    samples: int
    kept: int
    rejected: int
    rejections: tuple[Rejection, ...]
    stages: tuple[StageCount, ...]
    counts: dict[Side, dict[str, int]]
    imbalance: float
    flags: dict[str, int] | None
    near_duplicates: NearDuplicates | None
    sides: SideFindings | None
