"""PublishRequest: the form with which a person moves, freezes or releases a deployment."""

from pydantic import Field

from pipelines.form_base import Form, Name
from serving.spec import (
    MAX_CANARY_MINUTES,
    MAX_CANARY_PERCENT,
    MAX_REPLICAS,
    PublishAction,
    PublishSpec,
)

PUBLISH_DAG = "modelmill_publish"


class PublishRequest(Form):
    """What a person decides about one deployment."""

    deployment: Name = Field(
        title="Deployment",
        description="Name under which the model is served.",
    )
    action: PublishAction = Field(
        title="What to do",
        description="A rollback also freezes: the next night would undo it otherwise.",
        json_schema_extra={
            "values_display": {
                "promote": "promote: put a version in service",
                "freeze": "freeze: let no new version in",
                "rollback": "rollback: the version before serves again, and stays",
                "release": "release: let new versions in again",
                "pin": "pin: hold new versions to this one, too",
                "set": "set: change how many replicas serve, and how new versions are tried",
            }
        },
    )
    version: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        title="Version",
        description=(
            "Which one to promote, to go back to or to pin. 0: the one that served before; "
            "for pin the one in service."
        ),
    )
    replicas: int = Field(
        default=0,
        ge=0,
        le=MAX_REPLICAS,
        title="Replicas",
        description="For set: how many servers share the requests. 0: as many as now.",
    )
    canary_percent: int = Field(
        default=-1,
        ge=-1,
        le=MAX_CANARY_PERCENT,
        title="Canary, percent",
        description="For set: what share of the requests a new version gets first. 0: all of them "
        "at once. -1: as now.",
    )
    canary_minutes: float = Field(
        default=0,
        ge=0,
        le=MAX_CANARY_MINUTES,
        title="Canary, minutes",
        description="For set: for how long, before it gets all of them or is sent away. 0: as now.",
    )
    allow_slow: bool = Field(
        default=False,
        title="Allow slow",
        description="For promote: also where it is many times slower than the version in service. "
        "The history shows that. A canary that is slow is sent away all the same.",
    )
    reason: str = Field(
        default="",
        max_length=500,
        title="Reason",
        description="Why, for those who look at the deployment's history later.",
    )


def publish_spec(
    request: PublishRequest, *, request_id: str, actor: str, output_uri: str
) -> PublishSpec:
    """The job that does it; request_id: the same for every attempt."""
    return PublishSpec(
        output_uri=output_uri,
        action=request.action,
        deployment=request.deployment,
        version=request.version,
        replicas=request.replicas,
        canary_percent=request.canary_percent,
        canary_minutes=request.canary_minutes,
        allow_slow=request.allow_slow,
        request_id=request_id,
        actor=actor,
        reason=request.reason,
    )
