"""What the data jobs accept and answer."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, TypeAdapter, model_validator

from serving.bundle.manifest import ONE, Task
from serving.job.inputs import Input, InputFeatures
from serving.job.search import Cost
from serving.job.spec import JobSpec, Name, Spec
from spark_jobs.importing.notes import ImportNotes
from spark_jobs.old_outcomes import drop_moved
from spark_jobs.opponent import Champion as Champion  # noqa: PLC0414
from spark_jobs.opponent import ClassMetrics as ClassMetrics  # noqa: PLC0414

Side = Literal["train", "val", "test"]
# Who gave a sample its side: the user, by a folder or column; or we.
Origin = Literal["given", "assigned"]
LabelsPerSample = Literal["one", "several"]
# Where a job finds the address of the MongoDB to import from: it may hold a password.
SOURCE_MONGO_VARIABLE = "MODELMILL_SOURCE_MONGO_URI"


class StageParams(Spec):
    """Base of every stage's Params.

    comes_after: stages whose results it needs; where a chain names them, they stand before it.
    """

    comes_after: ClassVar[tuple[str, ...]] = ()


class StageSpec(Spec):
    """One stage by its file's name, with its parameters as JSON."""

    name: str
    params: dict[str, JsonValue] = {}


class LabelFields(Spec):
    """Names of a table's columns, or of the documents' fields; empty: known by their names."""

    picture: str = ""
    label: str = ""
    split: str = ""
    group: str = ""


class ImportTarget(JobSpec):
    """Where an import puts pictures: raw_uri is the dataset's folder of raw segments.

    labels: several where a CSV's cells hold labels with bars between them; lists are recognised.
    """

    dataset: Name
    title: str = ""
    raw_uri: str
    labels: LabelsPerSample = "one"
    actor: str = "unknown"


class ImportSpec(ImportTarget):
    """Bring a folder or a table of pictures, file:///… or hdfs://…, into a dataset."""

    kind: Literal["import"] = "import"
    source_uri: str
    fields: LabelFields = LabelFields()


class ImportCollectionSpec(ImportTarget):
    """Bring the documents of a MongoDB collection into a dataset.

    The server's address may hold a password, so it comes by environment variable. `filter` is a
    MongoDB query. A document's picture is its bytes, a GridFS id, or a path on HDFS or a disk.
    """

    kind: Literal["import_collection"] = "import_collection"
    database: str
    collection: str
    filter: dict[str, JsonValue] = {}
    fields: LabelFields = LabelFields()


class Rejection(Spec):
    """A file that was not taken, and why."""

    name: str
    reason: str


class ImportOutcome(ImportNotes):
    """Always read == added + already_there + conflicts + len(rejected).

    added_per_class: a sample with several labels counts under each.
    """

    dataset: str
    task: Task = ONE
    read: int
    added: int
    already_there: int
    conflicts: int
    conflicting: tuple[str, ...]
    rejected: tuple[Rejection, ...]
    added_per_class: dict[str, int]


class EtlSpec(JobSpec):
    """Make a snapshot of a dataset as it was at the cut-off, and its features.

    snapshots_uri, features_uri, facts_uri and pairs_uri are roots; the content-addressed folder
    below each is the job's answer. inputs: features are made with each; stages see pictures as the
    first one fits them. snapshot_id: one that is there, taken again instead of the labels at the
    cut-off.
    """

    kind: Literal["etl"] = "etl"
    dataset: Name
    cutoff: datetime
    snapshot_id: str = ""
    seed: int
    raw_uri: str
    snapshots_uri: str
    features_uri: str
    facts_uri: str
    pairs_uri: str
    inputs: tuple[Input, ...] = Field(min_length=1)
    stages: tuple[StageSpec, ...]


class StageCount(Spec):
    """What one stage rejected."""

    stage: str
    rejected: int


class EtlOutcome(Spec):
    """counts: side → class → samples in the snapshot; one with several labels counts under each.

    features: in the order of the inputs. features_made, features_reused: vectors, of all inputs
    together.
    """

    task: Task = ONE
    snapshot_id: str
    labels_uri: str
    features: tuple[InputFeatures, ...]
    rejected_uri: str
    report_uri: str
    classes: tuple[str, ...]
    counts: dict[Side, dict[str, int]]
    rejected: int
    stages: tuple[StageCount, ...]
    features_made: int
    features_reused: int


class EvaluateSpec(JobSpec):
    """Score the bundle that would be served, and the deployment's champion, on the test side.

    features: those that the bundle was trained on. val_learned: it has learned from val, too.
    deepened: more than its head was trained, so that out-of-fold scores are another network's.
    snapshots_uri: root of the snapshots, among which is what the champion was trained on.
    search_uri (a file of serving.job.search.Search, or empty), train_cost: for the report.
    out_of_fold_uri: scores of the train and val side by heads that have not learned from the
    sample, Parquet (sha256, scores as the bundle's); empty where there are none. min_precision:
    that the classes' thresholds are chosen for; 0: for the best F1. report_address: of the report's
    page for people, which the MLflow run links to; empty where there is none.
    """

    only_shown: ClassVar[tuple[str, ...]] = ("report_address",)

    kind: Literal["evaluate"] = "evaluate"
    run_id: str
    dataset: Name
    deployment: Name
    snapshot_id: str
    labels_uri: str
    raw_uri: str
    bundle_uri: str
    etl_report_uri: str
    mlflow_run_id: str
    min_accuracy: float
    min_precision: float = 0.0
    max_bad_cases: int = Field(default=50, ge=0)
    smoke_samples: int = Field(default=5, ge=1)
    features: InputFeatures | None = None
    facts_uri: str = ""
    val_learned: bool = False
    deepened: bool = False
    snapshots_uri: str = ""
    seed: int = 0
    search_uri: str = ""
    out_of_fold_uri: str = ""
    train_cost: Cost | None = None
    report_address: str = ""


class EvaluateOutcome(Spec):
    """The few numbers that others need. weakest: the class of the lowest recall that is tested.

    predictions_uri: folder of Parquet files, rows of scoring.SCORED of the val and test sides.
    metrics_uri: Evaluation; bad_cases_uri: BadCases; suspects_uri: Suspects; empty in old runs.
    operating_point_uri: empty where none could be chosen, too. accuracy: as in Evaluation, of task.
    """

    task: Task = ONE
    accuracy: float
    macro_f1: float
    test_samples: int
    bad_cases: int
    weakest: ClassMetrics | None = None
    # Test samples that the model learned from; and copies of such ones, no part of `paired`.
    leaked: int | None = None
    leaked_copies: int | None = None
    champion: Champion
    predictions_uri: str
    report_uri: str
    smoke_uri: str
    metrics_uri: str = ""
    bad_cases_uri: str = ""
    suspects_uri: str = ""
    operating_point_uri: str = ""
    # What new versions are held to, too; None: the champion is it, or there is none.
    reference: Champion | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_earlier(cls, fields: Any) -> Any:
        return drop_moved(fields) if isinstance(fields, dict) else fields


class WarmUpSpec(JobSpec):
    """Run once with a few rows, so that the JVM's classes can be archived at its end."""

    kind: Literal["warm_up"] = "warm_up"


class WarmUpOutcome(Spec):
    """rows: how many came through."""

    rows: int


SparkSpec = Annotated[
    ImportSpec | ImportCollectionSpec | EtlSpec | EvaluateSpec | WarmUpSpec,
    Field(discriminator="kind"),
]
SPARK_SPEC: TypeAdapter[SparkSpec] = TypeAdapter(SparkSpec)
