"""What serving's jobs accept and answer."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from serving.job.smoke import SmokeSample as SmokeSample  # noqa: PLC0414
from serving.job.smoke import SmokeSamples as SmokeSamples  # noqa: PLC0414
from serving.job.spec import JobSpec, Name, Spec


class GateNumbers(Spec):
    """What the gate looked at; kept with the deployment's event.

    All but the first four: None where an earlier version decided, or where there was nothing to
    look at. chance, worst_difference, tellable: pipelines.gate.comparison says what they mean.
    answered_by: the person who approved or rejected; empty where nobody did in time.
    reference_…: the same of the reference; None where the champion is it, or it was left out.
    """

    accuracy: float
    min_accuracy: float
    champion_version: int | None = None
    champion_accuracy: float | None = None
    macro_f1: float | None = None
    min_macro_f1: float | None = None
    weakest_class: str | None = None
    weakest_recall: float | None = None
    min_class_recall: float | None = None
    latency_ms: float | None = None
    max_latency_ms: float | None = None
    model_mb: float | None = None
    max_model_mb: float | None = None
    test_samples: int | None = None
    leaked: int | None = None
    leaked_copies: int | None = None
    champion_leaked: int | None = None
    compared_samples: int | None = None
    standing: str | None = None
    challenger_only: int | None = None
    champion_only: int | None = None
    chance: float | None = None
    worst_difference: float | None = None
    max_loss: float | None = None
    tellable: float | None = None
    on_unsure: str | None = None
    answered_by: str | None = None
    reference_version: int | None = None
    reference_accuracy: float | None = None
    reference_standing: str | None = None
    reference_other_task: bool = False
    reference_samples: int | None = None
    reference_leaked: int | None = None
    reference_challenger_only: int | None = None
    reference_only: int | None = None
    reference_chance: float | None = None
    reference_worst_difference: float | None = None


class BuildImageSpec(JobSpec):
    """Register the bundle as the next version and bake it into a serving image.

    operating_point_uri: what the evaluation chose for it, a file that becomes a part of the
    bundle; empty: it chose nothing.
    """

    kind: Literal["build_image"] = "build_image"
    deployment: Name
    bundle_uri: str
    operating_point_uri: str = ""
    mlflow_run_id: str


class BuildImageOutcome(Spec):
    """image_tag is empty where no Docker engine answers: the bundle is then served by a process."""

    version: int
    image_tag: str
    image_id: str
    base: str
    size_bytes: int


class DeploySpec(JobSpec):
    """Put one version in service, if the deployment is still as the gate saw it."""

    kind: Literal["deploy"] = "deploy"
    deployment: Name
    dataset: Name
    version: int
    image_tag: str
    bundle_uri: str
    smoke_uri: str
    expected_generation: int
    gate: GateNumbers
    actor: str
    reason: str


class DeployOutcome(Spec):
    """endpoint is the address of the API's root; `served_by` says what runs there.

    note: what a canary has shown; empty where there was none.
    """

    deployment: str
    version: int
    generation: int
    endpoint: str
    served_by: Literal["container", "process"]
    replaced_version: int | None
    note: str = ""


MAX_REPLICAS = 16
# From half on the one on trial would be the rule.
MAX_CANARY_PERCENT = 50
MAX_CANARY_MINUTES = 1440


class Rollout(Spec):
    """How a deployment serves, whichever version it is.

    canary_percent: the share of the requests that a new version gets first, for canary_minutes;
    0: all of them at once.
    """

    replicas: int = Field(default=2, ge=1, le=MAX_REPLICAS)
    canary_percent: int = Field(default=0, ge=0, le=MAX_CANARY_PERCENT)
    canary_minutes: float = Field(default=5.0, gt=0, le=MAX_CANARY_MINUTES)


PublishAction = Literal["promote", "freeze", "rollback", "release", "set", "pin"]
# What an entry of deployment_events may be about. canary: a version begins to take a share of the
# requests; canary_return: it was sent away again.
EventAction = Literal["deploy", "refuse", "put_back", "canary", "canary_return", PublishAction]


class PublishSpec(JobSpec):
    """What a person decides about a deployment.

    version: what to promote, to go back to or to hold new ones to; 0: the one before, or for pin
    the one in service. replicas, canary_percent and canary_minutes: what to set; 0, -1 and 0: as
    they are. allow_slow: of promote, however slow the version is beside the one in service.
    request_id: the same in every attempt of one request, so that a retry does not go back twice.
    """

    kind: Literal["publish"] = "publish"
    action: PublishAction
    deployment: Name
    version: int = 0
    replicas: int = Field(default=0, ge=0, le=MAX_REPLICAS)
    canary_percent: int = Field(default=-1, ge=-1, le=MAX_CANARY_PERCENT)
    canary_minutes: float = Field(default=0.0, ge=0, le=MAX_CANARY_MINUTES)
    allow_slow: bool = False
    request_id: str
    actor: str
    reason: str


class PublishOutcome(Spec):
    """What the deployment is now; endpoint is the address of the API's root.

    note: what a canary has shown; empty where there was none.
    """

    deployment: str
    action: PublishAction
    version: int
    replaced_version: int | None
    frozen: bool
    replicas: int
    generation: int
    endpoint: str
    served_by: Literal["container", "process"]
    note: str = ""


class ReconcileSpec(JobSpec):
    """Make what runs match the desired state of every deployment."""

    kind: Literal["reconcile"] = "reconcile"


class ReconcileOutcome(Spec):
    """One entry per deployment: its endpoint, or why it could not be brought up."""

    endpoints: dict[str, str]
    failures: dict[str, str]


class PrepareRuntimeSpec(JobSpec):
    """Make the runtime image once, so that a new model costs one layer."""

    kind: Literal["prepare_runtime"] = "prepare_runtime"


class PrepareRuntimeOutcome(Spec):
    """runtime_tag is empty where no Docker engine answers."""

    runtime_tag: str
    base: str
    built: bool


class QueueKeptSpec(JobSpec):
    """Put the requests that a deployment has kept into the review queue of its dataset.

    raw_root: folder of all datasets' raw segments.
    """

    kind: Literal["queue_kept"] = "queue_kept"
    deployment: Name
    raw_root: str


class QueueKeptOutcome(Spec):
    """queued: new in the queue. told: open ones whose sender has said since what is right.

    known: samples already, or asked before.
    """

    dataset: str
    queued: int = 0
    told: int = 0
    known: int = 0


ServingSpec = Annotated[
    BuildImageSpec | DeploySpec | PublishSpec | ReconcileSpec | PrepareRuntimeSpec | QueueKeptSpec,
    Field(discriminator="kind"),
]
SERVING_SPEC: TypeAdapter[ServingSpec] = TypeAdapter(ServingSpec)
