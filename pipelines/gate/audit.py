"""The refusals, in the history of a deployment: the deploy job writes down what went in."""

from datetime import UTC, datetime

from pipelines.gate.decision import GateDecision
from serving.job.mongo import use_database
from serving.spec import EventAction


def record_refusal(deployment: str, run_id: str, decision: GateDecision, *, who: str) -> None:
    """Append an event whose version stays; once, however often a task is tried."""
    refused: EventAction = "refuse"
    version = decision.numbers.champion_version
    with use_database() as database:
        database["deployment_events"].update_one(
            {"deployment": deployment, "run_id": run_id, "why": decision.reason},
            {
                "$setOnInsert": {
                    "at": datetime.now(UTC),
                    "action": refused,
                    "who": who,
                    "from_version": version,
                    "to_version": version,
                    "gate": decision.numbers.model_dump(),
                }
            },
            upsert=True,
        )
