"""What a bundle says of itself."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION: Final = 1
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
PADDLE_FOLDER = "paddle"
Resize = Literal["crop", "squash", "letterbox"]
Task = Literal["image_classification", "image_multilabel"]
ONE: Final[Task] = "image_classification"
SEVERAL: Final[Task] = "image_multilabel"
# Stands between the labels of one picture, where they are written as one string.
BAR: Final = "|"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Frozen):
    """How bytes become the network's input.

    Scaled (bicubic) and fitted to size × size, then each value v becomes (v - mean) / scale. RGB,
    channels first. resize:
    crop: shorter side to size / crop_ratio, aspect ratio kept, the centre cut out.
    squash: each side to size.
    letterbox: longer side to size, aspect ratio kept, the rest filled with the mean.
    """

    size: int = Field(default=224, ge=16, le=1024)
    crop_ratio: float = Field(default=0.875, gt=0, le=1)
    mean: float = 127.0
    scale: float = 128.0
    # Left out of JSON where it is the default: keys and hashes made before it existed still hold.
    resize: Resize = Field(default="crop", exclude_if=lambda resize: resize == "crop")


class Lineage(_Frozen):
    """Where a model comes from."""

    dataset: str
    snapshot_id: str
    run_id: str
    code_version: str
    backbone: str
    backbone_sha256: str
    weights_licence: str
    created_at: str


class Manifest(_Frozen):
    """manifest.json of a bundle. `classes` are in the order of the model's scores.

    task: image_classification, one class a picture, whose scores sum to 1; or image_multilabel,
    where a picture shows every class whose score, a probability of its own, reaches its threshold.
    thresholds: those, in the order of the classes; none where there is one class a picture.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    task: Task = ONE
    classes: tuple[str, ...] = Field(min_length=2)
    preprocessing: Preprocessing
    # Left out where there are none: servers that do not know them read such bundles as before.
    thresholds: tuple[float, ...] = Field(default=(), exclude_if=lambda thresholds: not thresholds)
    metrics: dict[str, float] = {}
    lineage: Lineage

    @model_validator(mode="after")
    def _has_thresholds(self) -> Self:
        wanted = len(self.classes) if self.task == SEVERAL else 0
        if len(self.thresholds) != wanted:
            raise ValueError(f"{len(self.thresholds)} thresholds, but {self.task} needs {wanted}")
        return self
