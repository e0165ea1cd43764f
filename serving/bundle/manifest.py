"""What a bundle says of itself."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
PADDLE_FOLDER = "paddle"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Frozen):
    """How bytes become the network's input.

    The shorter side is scaled to size / crop_ratio (bicubic, aspect ratio kept), the centre
    size × size is cut out, and each value v becomes (v - mean) / scale. RGB, channels first.
    """

    size: int = Field(default=224, ge=16, le=1024)
    crop_ratio: float = Field(default=0.875, gt=0, le=1)
    mean: float = 127.0
    scale: float = 128.0


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
    """manifest.json of a bundle. `classes` are in the order of the model's scores."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: Literal["image_classification"] = "image_classification"
    classes: tuple[str, ...] = Field(min_length=2)
    preprocessing: Preprocessing
    metrics: dict[str, float] = {}
    lineage: Lineage
