"""What runs of earlier versions left, in today's words: one backbone was then the only choice."""

import json
from typing import Any

from pydantic import ValidationError

from pipelines.plan import RunPlan
from serving.job import store
from serving.job.inputs import InputFeatures
from spark_jobs.spec import EtlOutcome

# Fields of the form that the model search decides now.
DROPPED = ("max_epochs", "patience", "learning_rate", "weight_decay")
# Of the only backbone then, which the plans did not note; 0: it was not measured.
UNNOTED = {"features": 1280, "file_bytes": 0, "latency_ms": 0.0}


def read_plan(uri: str) -> RunPlan:
    """A run's plan. Raises FileNotFoundError, and ValidationError where it is no plan we know."""
    content = store.read_bytes(uri)
    try:
        return RunPlan.model_validate_json(content)
    except ValidationError:
        old = _read_object(content)
        if not isinstance(old.get("request"), dict) or not isinstance(old.get("backbone"), dict):
            raise
    request = {name: value for name, value in old["request"].items() if name not in DROPPED}
    only = {
        "backbone": UNNOTED | old.pop("backbone"),
        "preprocessing": old.pop("preprocessing", None),
    }
    # Where nobody chose, pictures were cropped.
    return RunPlan.model_validate(
        {**old, "request": {"resize": "crop"} | request, "inputs": [only]}
    )


def read_etl_outcome(uri: str, plan: RunPlan) -> EtlOutcome:
    """What the etl of a plan's run answered; errors as those of read_plan."""
    content = store.read_bytes(uri)
    try:
        return EtlOutcome.model_validate_json(content)
    except ValidationError:
        old = _read_object(content)
        if "features_uri" not in old or len(plan.inputs) != 1:
            raise
    features = InputFeatures(**dict(plan.inputs[0]), features_uri=old.pop("features_uri"))
    return EtlOutcome.model_validate({**old, "features": [features]})


def _read_object(content: bytes) -> dict[str, Any]:
    """Empty where it is no JSON object."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
