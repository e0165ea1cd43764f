"""What the trainer accepts and answers."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from serving.job.inputs import BackboneFile, InputFeatures
from serving.job.spec import JobSpec, Name, Spec

# The pretrained networks that training/backbones knows: the caller offers them without loading it.
BackboneName = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]


class TrainSpec(JobSpec):
    """Train a head on cached features and export a bundle.

    task: a folder below training/tasks. devices: what the caller chose; the number of processes
    is the launcher's.
    labels_uri: the snapshot's labels.parquet (sha256, label, group, side, segment, name), or the
    run's own, which may also say how much a train sample counts (sample_weight, sample_repeats).
    inputs: what the model may be given, each with its features. scratch_uri: a file:// folder that
    outlives the attempt, where the checkpoint lies.
    """

    kind: Literal["train"] = "train"
    task: Literal["classification"] = "classification"
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
    max_epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    min_delta: float = Field(default=1e-4, ge=0)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)


class TrainOutcome(Spec):
    """agreement: largest |ONNX − Paddle| over the class scores of the probe pictures."""

    bundle_uri: str
    mlflow_run_id: str
    ranks: int
    device: Literal["cpu", "gpu"]
    epochs_run: int
    best_epoch: int
    val_accuracy: float
    val_loss: float
    agreement: float
    weights_sha256: str


class ExportBackboneSpec(JobSpec):
    """Write a backbone's feature extractor, with its pretrained weights, as one ONNX file."""

    kind: Literal["export_backbone"] = "export_backbone"
    backbone: str


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


TrainingSpec = Annotated[TrainSpec | ExportBackboneSpec, Field(discriminator="kind")]
TRAINING_SPEC: TypeAdapter[TrainingSpec] = TypeAdapter(TrainingSpec)
