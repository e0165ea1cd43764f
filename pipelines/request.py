"""RunRequest: the form of a run, and the only definition of what a person chooses there.

What a form shows beyond JSON Schema stands in json_schema_extra: `rule` says a pattern in words,
`values_display` labels the values of a dropdown, `section` moves a field into an accordion.
"""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field, JsonValue, StringConstraints, field_validator

from pipelines.form_base import Form, Name, NameOrEmpty
from serving.bundle.manifest import Resize
from serving.job.search import Depth
from training.spec import BackboneName

Share = Annotated[float, Field(ge=0, le=1)]
_DETAILS = "Training in detail"
_GATE = "Gate: what may go in service"
_ANSWERS = "Thresholds: from which score on a class is called"
AUTO: Final = "auto"
DEFAULT_STAGES = (
    "decode_image",
    "flag_quality",
    "compute_features",
    "group_near_duplicates",
    "assign_sides",
)


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
    min_accuracy: Share = Field(
        default=0.8,
        title="Least accuracy",
        description=(
            "A model below this accuracy on the test side is not put in service. With several "
            "labels: the share of pictures whose labels are all found, with no other said."
        ),
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
    resize: Literal["auto", Resize] = Field(
        default=AUTO,
        title="Fit to size",
        description=(
            "How a picture becomes the square that the network sees. Auto tries crop, and squash "
            "where the time budget allows. Crop loses the edges: for "
            "things in the middle. Squash keeps everything, but distorts it: for things that reach "
            "the edges. Letterbox keeps everything and adds borders: where proportions matter, too."
        ),
        json_schema_extra={
            "values_display": {
                AUTO: "auto: whichever does better",
                "crop": "crop: cuts off the edges",
                "squash": "squash: keeps everything, distorts it",
                "letterbox": "letterbox: keeps everything, adds grey borders",
            }
        },
    )
    budget_minutes: float = Field(
        default=5,
        gt=0,
        le=10_080,
        title="Minutes",
        description=(
            "Everything from this form to the served model aims to fit. More time: more backbones, "
            "and a longer search for the best model."
        ),
    )
    max_latency_ms: float = Field(
        default=0,
        ge=0,
        le=60_000,
        title="Longest answer, ms",
        description=(
            "Slower models are not considered: milliseconds for one picture on one core of this "
            "machine, without decoding. 0: no limit."
        ),
    )
    max_model_mb: float = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Largest model, MB",
        description="Larger models are not considered: the ONNX file's megabytes. 0: no limit.",
    )
    min_macro_f1: Share = Field(
        default=0,
        title="Least macro-F1",
        description=(
            "A model below this is not put in service. It is the mean of the classes' F1, so that "
            "a rare class counts as much as a common one. 0: no floor."
        ),
        json_schema_extra={"section": _GATE},
    )
    min_class_recall: Share = Field(
        default=0,
        title="Least recall of the worst class",
        description=(
            "Of every class, at least this share of its test pictures must be recognised, or the "
            "model is not put in service. 0: no floor."
        ),
        json_schema_extra={"section": _GATE},
    )
    max_loss: Share = Field(
        default=0.01,
        title="Loss that does no harm",
        description=(
            "A model that looks a little worse than the one in service still takes its place "
            "where it is, with 95 % certainty, not worse by more than this much accuracy. It takes "
            "a few hundred test pictures and more to be so certain."
        ),
        json_schema_extra={"section": _GATE},
    )
    on_unsure: Literal["ask", "keep", "promote"] = Field(
        default="ask",
        title="Where the pictures cannot tell",
        description=(
            "What to do with a model that looks a little worse than the one in service, when that "
            "may be chance, or that gives several labels where that gives one, or the reverse."
        ),
        json_schema_extra={
            "section": _GATE,
            "values_display": {
                "ask": "ask: the run waits until a person approves or rejects",
                "keep": "keep: the one in service stays",
                "promote": "promote: the new one takes its place",
            },
        },
    )
    min_precision: Share = Field(
        default=0,
        title="Wanted precision",
        description=(
            "Least share of what reaches a class's threshold that is right; 0: best F1. Where a "
            "picture has one label, this is for who looks for one class, and no answer depends "
            "on it; where it may have several, it decides which are said."
        ),
        json_schema_extra={"section": _ANSWERS},
    )
    backbones: tuple[Name, ...] = Field(
        default=(AUTO,),
        min_length=1,
        title="Backbones",
        description=(
            "Pretrained networks that the model may be built on (./modelmill backbones); auto: of "
            "those that ship, as many as the time allows. Ones that you added are named."
        ),
        json_schema_extra={
            "section": _DETAILS,
            "examples": [AUTO, *get_args(BackboneName)],
            "rule": "auto, or one or more names that ./modelmill backbones lists",
        },
    )
    max_trials: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Most trials",
        description=(
            "The search ends after so many attempts, so that it can be repeated exactly; what "
            "follows it, too, where the head alone is trained (--deepest head). 0: it ends when "
            "its part of the time is over."
        ),
        json_schema_extra={"section": _DETAILS},
    )
    warm_start: Literal["none", "champion"] = Field(
        default="none",
        title="Start from",
        description=(
            "What the training goes on from. From the model in service: its recipe and those near "
            "it are tried first, and its weights are where the final training starts; old classes "
            "are kept, and it takes less time. From nothing: the model depends on its data alone."
        ),
        json_schema_extra={
            "section": _DETAILS,
            "values_display": {"none": "nothing", "champion": "the model in service, if any"},
        },
    )
    deepest: Depth = Field(
        default="network",
        title="Train",
        description=(
            "The head takes seconds. Where mistakes and minutes are left, EfficientNet-Lite's last "
            "block follows (CPU only), then the whole network; kept where held-out pictures say so."
        ),
        json_schema_extra={
            "section": _DETAILS,
            "values_display": {
                "head": "the head alone",
                "last_blocks": "the backbone's last block, too, where that is better",
                "network": "the whole network, too, where that is better",
            },
        },
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

    @field_validator("backbones", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        """On the command line and in a preset, names are one text with commas."""
        return tuple(map(str.strip, value.split(","))) if isinstance(value, str) else value

    @property
    def served_as(self) -> str:
        """The deployment's name."""
        return self.deployment or self.dataset
