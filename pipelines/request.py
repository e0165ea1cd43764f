"""RunRequest: the form of a run, and the only definition of what a person chooses there.

What a form shows beyond JSON Schema stands in json_schema_extra: `rule` says a pattern in words,
`values_display` labels the values of a dropdown, `section` moves a field into an accordion.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

from serving.bundle.manifest import Resize

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
NAME_RULE = "a lower-case letter, then up to 39 lower-case letters, digits or hyphens"
_DETAILS = "Training in detail"
DEFAULT_STAGES = (
    "decode_image",
    "flag_quality",
    "compute_features",
    "group_near_duplicates",
    "assign_sides",
)

Name = Annotated[
    str, StringConstraints(pattern=NAME_PATTERN), Field(json_schema_extra={"rule": NAME_RULE})
]
NameOrEmpty = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z][a-z0-9-]{0,39})?$"),
    Field(json_schema_extra={"rule": f"empty, or {NAME_RULE}"}),
]


class Form(BaseModel):
    """Base of what a person fills in: flat and frozen, its fields in the order of the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRequest(Form):
    """What a person chooses for one run. Flat; a default good enough for everything but dataset."""

    dataset: Name = Field(
        title="Dataset",
        description="Name under which the pictures were imported.",
    )
    deployment: NameOrEmpty = Field(
        default="",
        title="Deployment",
        description="Name under which the model is served. Empty: the dataset's name.",
    )
    min_accuracy: float = Field(
        default=0.8,
        ge=0,
        le=1,
        title="Least accuracy",
        description="A model below this accuracy on the test side is not put in service.",
    )
    deploy: bool = Field(
        default=True,
        title="Put in service",
        description="Off: stop after the report.",
    )
    devices: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        title="Devices",
        description="Where the training runs, one process per device.",
        json_schema_extra={
            "values_display": {
                "auto": "every GPU where there are any, else the CPU's cores",
                "cpu": "the CPU's cores",
                "gpu": "every GPU",
            }
        },
    )
    resize: Resize = Field(
        default="crop",
        title="Fit to size",
        description=(
            "How a picture becomes the square that the network sees. Crop loses the edges: for "
            "things in the middle. Squash keeps everything, but distorts it: for things that reach "
            "the edges. Letterbox keeps everything and adds borders: where proportions matter, too."
        ),
        json_schema_extra={
            "values_display": {
                "crop": "crop: cuts off the edges",
                "squash": "squash: keeps everything, distorts it",
                "letterbox": "letterbox: keeps everything, adds grey borders",
            }
        },
    )
    max_epochs: int = Field(
        default=200,
        ge=1,
        le=10_000,
        title="Most epochs",
        description="Training stops earlier when the validation side stops getting better.",
        json_schema_extra={"section": _DETAILS},
    )
    patience: int = Field(
        default=15,
        ge=1,
        le=1_000,
        title="Patience",
        description="Epochs without a better validation result before training stops.",
        json_schema_extra={"section": _DETAILS},
    )
    learning_rate: float = Field(
        default=0.002,
        gt=0,
        le=1,
        title="Learning rate",
        description="Step size of the optimizer at the start.",
        json_schema_extra={"section": _DETAILS},
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        le=1,
        title="Weight decay",
        description="Pull of the weights towards zero; more of it guards small datasets.",
        json_schema_extra={"section": _DETAILS},
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="The same seed, data and machine give the same model.",
        json_schema_extra={"section": _DETAILS},
    )

    snapshot: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{20})?$")] = Field(
        default="",
        title="Snapshot",
        description=(
            "Id of an earlier snapshot (./modelmill snapshots), to train on the very same samples, "
            "labels and sides. Empty: the labels as they are now."
        ),
        json_schema_extra={
            "section": _DETAILS,
            "rule": "empty, or a snapshot's id, 20 digits from 0 to 9 and a to f",
        },
    )
    stages: dict[str, dict[str, JsonValue]] = Field(
        default={name: {} for name in DEFAULT_STAGES},
        title="Spark stages",
        description="What the data goes through, in this order; your own stages, too.",
        json_schema_extra={
            "section": _DETAILS,
            "rule": "a JSON object, each stage's name with an object of its parameters",
        },
    )

    @property
    def served_as(self) -> str:
        """The deployment's name."""
        return self.deployment or self.dataset
