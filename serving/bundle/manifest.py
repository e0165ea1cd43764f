"""What a bundle says of itself."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
PADDLE_FOLDER = "paddle"
Resize = Literal["crop", "squash", "letterbox"]


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
    """manifest.json of a bundle. `classes` are in the order of the model's scores."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: Literal["image_classification"] = "image_classification"
    classes: tuple[str, ...] = Field(min_length=2)
    preprocessing: Preprocessing
    metrics: dict[str, float] = {}
    lineage: Lineage
