"""What the data jobs write down for people beside their outcomes."""

from datetime import datetime
from typing import Literal

from serving.bundle.manifest import ONE, Task
from serving.job.spec import Spec
from spark_jobs.importing.notes import ImportNotes
from spark_jobs.spec import Rejection, Side, StageCount

BalanceMode = Literal["weights", "oversample"]


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


class ImportReport(ImportNotes):
    """import_report.json: what an import read, what it recognised and what became of each file.

    read == added + already_there + len(conflicts) + len(rejected).
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
    classes: tuple[ClassCount, ...]
    conflicts: tuple[Conflict, ...]
    rejected: tuple[Rejection, ...]


class SampleGroup(Spec):
    """Samples that belong together, by name; `names` may be cut, `size` is not.

    hashes: sha256 of those named, in their order; older reports have none.
    """

    size: int
    labels: tuple[str, ...]
    sides: tuple[Side, ...] = ()
    names: tuple[str, ...]
    hashes: tuple[str, ...] = ()


class LabelledPair(Spec):
    """Two near-duplicates under two labels: one of the labels is wrong, or the defect is tiny.

    With several labels a sample: not all of their labels are the same.
    hashes: sha256 of both; older reports have none.
    """

    names: tuple[str, str]
    labels: tuple[str, str]
    hashes: tuple[str, ...] = ()


class NearDuplicates(Spec):
    """Counts of samples that are used, and pairs of them.

    compared: pairs that no earlier run had compared, those with samples that are left out, too;
    older reports do not tell.

    confirmed counts pairs of one label and of two.

    full_buckets, pairs_left_out: where the search was capped. over_large: the largest of those
    that are not used; over_large_groups counts all of them, and is 0 in older reports.
    """

    samples: int
    proposed: int
    compared: int | None = None
    confirmed: int
    full_buckets: int
    pairs_left_out: int
    groups: int
    samples_in_groups: int
    largest: tuple[SampleGroup, ...]
    over_large: tuple[SampleGroup, ...]
    over_large_groups: int = 0
    cross_label: int
    cross_label_pairs: tuple[LabelledPair, ...]


class SideFindings(Spec):
    """leaks: groups on two sides, because the user gave the sides or the snapshot has them so.

    bridges: samples left out because they belong together with samples of another side.
    """

    leaks: int
    leaking_groups: tuple[SampleGroup, ...]
    bridges: int


class Balance(Spec):
    """How the classes of the train side were balanced.

    per_class: a sample's weight, or how often the trainer sees it in an epoch; where it has several
    labels, its rarest class's counts.
    """

    mode: BalanceMode
    per_class: dict[str, float]


class RejectedSample(Rejection):
    """A sample that was left out; in older reports its sha256 is empty."""

    sha256: str = ""


class Picture(Spec):
    """A sample in small. thumbnail: a JPEG as a data: URI; empty where its bytes show nothing."""

    sha256: str
    side: Side | None
    thumbnail: str


class Pictures(Spec):
    """etl_pictures.json: what the report's findings look like."""

    pictures: tuple[Picture, ...]


class EtlReport(Spec):
    """etl_report.json. imbalance: largest class over smallest; None: that stage did not run.

    counts: side → class → samples; one with several labels counts under each.
    rejections: the first of those that were left out; rejected.parquet has them all.
    seconds: where data was materialised, by stage or by what a stage did. pictures_uri: empty
    where nothing was found to show. snapshot_id: empty where a run ended before there was one.
    """

    dataset: str
    task: Task = ONE
    snapshot_id: str
    samples: int
    kept: int
    rejected: int
    rejections: tuple[RejectedSample, ...]
    stages: tuple[StageCount, ...]
    counts: dict[Side, dict[str, int]]
    imbalance: float
    flags: dict[str, int] | None
    near_duplicates: NearDuplicates | None
    sides: SideFindings | None
    balance: Balance | None = None
    seconds: dict[str, float] = {}
    pictures_uri: str = ""
