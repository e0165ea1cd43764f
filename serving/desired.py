"""The desired state of deployments, in MongoDB: changed only by compare-and-set."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.spec import GateNumbers


class DesiredState(BaseModel):
    """What should serve under a deployment's name. Fields of later versions are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deployment: str
    version: int
    replaced_version: int | None = None
    replicas: int = 1
    image_tag: str
    bundle_uri: str
    frozen: bool = False
    generation: int
    port: int


def _parse(document: dict[str, Any]) -> DesiredState:
    return DesiredState.model_validate({**document, "deployment": document["_id"]})


def read_desired(database: Any, deployment: str) -> DesiredState | None:
    """The state of one deployment; None before its first version."""
    document = database["deployments"].find_one({"_id": deployment})
    return None if document is None else _parse(document)


def list_desired(database: Any) -> list[DesiredState]:
    """Every deployment, by name."""
    return [_parse(document) for document in database["deployments"].find().sort("_id", 1)]


def compare_and_set(database: Any, state: DesiredState, expected_generation: int) -> bool:
    """Write a state if the stored generation is the expected one (0: none stored); else False."""
    from pymongo.errors import DuplicateKeyError

    fields = state.model_dump(exclude={"deployment"}) | {"updated_at": datetime.now(UTC)}
    deployments = database["deployments"]
    if expected_generation == 0:
        try:
            deployments.insert_one({"_id": state.deployment, **fields})
        except DuplicateKeyError:
            return False
        return True
    changed = deployments.update_one(
        {"_id": state.deployment, "generation": expected_generation}, {"$set": fields}
    )
    return bool(changed.matched_count == 1)


def record_event(
    database: Any, state: DesiredState, *, who: str, why: str, gate: GateNumbers
) -> None:
    """Append the audit entry of a generation, once."""
    database["deployment_events"].update_one(
        {"deployment": state.deployment, "generation": state.generation},
        {
            "$setOnInsert": {
                "at": datetime.now(UTC),
                "who": who,
                "from_version": state.replaced_version,
                "to_version": state.version,
                "why": why,
                "gate": gate.model_dump(),
            }
        },
        upsert=True,
    )
