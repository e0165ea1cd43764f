"""What the trainer accepts and answers."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from serving.job.inputs import BackboneFile, GivenWeights, InputFeatures, NetworkName
from serving.job.search import Cost, Depth, Ended, Recipe
from serving.job.spec import JobSpec, Name, Spec

# The pretrained networks that ship: the caller offers them without loading training/backbones.
BackboneName = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
# A folder below training/tasks.
TaskName = Literal["classification", "multilabel"]


class WarmStart(Spec):
    """A trained head to go on from, and what it was trained as.

    joined: its training has seen the val side, too.
    """

    task: TaskName = "classification"
    run_id: str
    head_uri: str
    recipe: Recipe
    classes: tuple[str, ...]
    backbone_sha256: str
    joined: bool


class TrainSpec(JobSpec):
    """Search for the best head on cached features, train it and export a bundle.

    devices: what the caller chose; the number of processes
    is the launcher's.
    labels_uri: the snapshot's labels.parquet (sha256, label, group, side, segment, name), or the
    run's own, which may also say how much a train sample counts (sample_weight, sample_repeats).
    inputs: what the model may be given, each with its features. scratch_uri: a file:// folder that
    outlives the attempt, where the study and the checkpoint lie.
    search_seconds and max_trials: the search ends with whichever comes first; 0 for no such limit,
    at least one is above 0. max_latency_ms, max_model_mb: of the served network; 0 for no limit.
    min_precision: that each label's threshold is chosen for, where a sample may have several; 0:
    for the best F1. warm_start: whether to go on from warm_from, which is None where there is
    nothing yet. deepest: how much may be trained where time is left and gain is in sight.
    run_address: of the run's page for people, to which the run in MLflow links; or empty.
    """

    # The address of this machine's pages may be another one when a run goes on.
    only_shown: ClassVar[tuple[str, ...]] = ("run_address",)

    kind: Literal["train"] = "train"
    task: TaskName = "classification"
    devices: Literal["auto", "cpu", "gpu"] = "auto"
    run_id: str
    dataset: Name
    snapshot_id: str
    labels_uri: str
    inputs: tuple[InputFeatures, ...] = Field(min_length=1)
    scratch_uri: str
    classes: tuple[str, ...]
    code_version: str
    seed: int = Field(ge=0)
    search_seconds: float = Field(default=0, ge=0)
    max_trials: int = Field(default=0, ge=0)
    max_latency_ms: float = Field(default=0, ge=0)
    max_model_mb: float = Field(default=0, ge=0)
    max_epochs: int = Field(default=100, ge=1)
    patience: int = Field(default=15, ge=1)
    min_delta: float = Field(default=1e-4, ge=0)
    # Left out where it decides nothing: what was trained before it existed is still found.
    min_precision: float = Field(default=0, ge=0, le=1, exclude_if=lambda value: not value)
    warm_start: bool = False
    warm_from: WarmStart | None = None
    deepest: Depth = "head"
    # Left out where it is empty: what was trained before it existed is still found.
    run_address: str = Field(default="", exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not (self.search_seconds or self.max_trials):
            raise ValueError("search_seconds and max_trials are both 0: the search would not end")
        return self


class Resolved(Spec):
    """All that decides the weights beside the samples: what a replay trains by.

    epochs, patience, min_delta, horizon: of the final training (see training.fit.Fit). ranks,
    threads: processes, and threads of each; nodes: machines that the processes ran on. cpu: its
    name and a hash of its features. start: a head that it went on from. base: of the head that
    deeper training began with.
    """

    recipe: Recipe
    epochs: int
    patience: int
    min_delta: float
    seed: int
    ranks: int
    threads: int
    nodes: int = 1
    device: Literal["cpu", "gpu"]
    cpu: str
    python: str
    paddle: str
    numpy: str
    code_version: str
    start: WarmStart | None = None
    horizon: int = 0
    base: "Resolved | None" = None


class TrainOutcome(Spec):
    """search_uri: a file (serving.job.search.Search). folds, best_epoch: as there.

    val_accuracy, val_loss: of samples the trial did not learn from. agreement: largest
    |ONNX − Paddle| over the class scores of the probe pictures. reused_from: id of the run that
    trained this, where data and settings were those of an earlier run; its files lie there.
    resolved: None in what versions left that did not note it. head_uri: the head alone, for a
    training that goes on from it; empty in what earlier versions left. out_of_fold_uri: scores of
    the train and val samples by heads that have not learned from them (sha256, scores in the order
    of the classes), Parquet; empty where there are none.
    """

    bundle_uri: str
    search_uri: str
    mlflow_run_id: str
    ranks: int
    device: Literal["cpu", "gpu"]
    recipe: Recipe
    trials: int
    ended_because: Ended
    folds: int
    best_epoch: int
    val_accuracy: float
    val_loss: float
    agreement: float
    weights_sha256: str
    cost: Cost
    reused_from: str = ""
    resolved: Resolved | None = None
    head_uri: str = ""
    out_of_fold_uri: str = ""


class ReplaySpec(JobSpec):
    """Do a run's final training once more.

    train: what that run's training was asked. code_version: of the code that replays.
    """

    kind: Literal["replay"] = "replay"
    train: TrainSpec
    resolved: Resolved
    weights_sha256: str
    code_version: str


class ReplayOutcome(Spec):
    """same: the weights are equal, bit for bit. differences: what is not as it was."""

    same: bool
    weights_sha256: str
    differences: tuple[str, ...]


class NewBackbone(Spec):
    """What a user says of a backbone's weights. source: where they come from, in words."""

    weights: GivenWeights
    licence: str = Field(min_length=1)
    source: str


class FromScratch(Spec):
    """A network with random weights, drawn by a seed."""

    network: NetworkName
    seed: int = Field(default=0, ge=0)

    @property
    def source(self) -> str:
        """Where its weights come from, in words."""
        return f"from scratch, seed {self.seed}"


class ExportBackboneSpec(JobSpec):
    """Write a backbone's feature extractor, with its weights, as one ONNX file.

    backbone: its name. given: for one that does not ship, where its weight file lies now, or that
    one is drawn.
    """

    kind: Literal["export_backbone"] = "export_backbone"
    backbone: str
    given: NewBackbone | FromScratch | None = None


class ExportBackboneOutcome(Spec):
    """A backbone's card. size: side of the pictures it was trained on, in pixels.

    parameters: trainable numbers in it. flops: multiply-adds for one picture of that size. source:
    where the weights come from.
    """

    file: BackboneFile
    size: int
    parameters: int
    flops: int
    source: str


TrainingSpec = Annotated[TrainSpec | ReplaySpec | ExportBackboneSpec, Field(discriminator="kind")]
TRAINING_SPEC: TypeAdapter[TrainingSpec] = TypeAdapter(TrainingSpec)
