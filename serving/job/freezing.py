"""A frozen deployment: who said so, when and why, and what lets new versions in again."""

from typing import Any

# Actions after which a deployment is frozen.
FREEZING = ("freeze", "rollback")


def explain_freeze(database: Any, deployment: str) -> str:
    """In a sentence or two, from the last event that froze it; empty where it is not frozen."""
    document = database["deployments"].find_one({"_id": deployment})
    if document is None or not document.get("frozen"):
        return ""
    events = database["deployment_events"].find(
        {"deployment": deployment, "action": {"$in": list(FREEZING)}}
    )
    last = next(iter(events.sort([("at", -1), ("generation", -1)]).limit(1)), None)
    said = "" if last is None else _describe(last)
    return (
        f"Deployment {deployment!r} is frozen at version {document['version']}{said}. "
        f"./modelmill release {deployment} lets new versions in again."
    )


def _describe(event: dict[str, Any]) -> str:
    why = f" ({event['why']})" if event["why"] else ""
    return f": {event['action']} by {event['who']}, {event['at']:%Y-%m-%d %H:%M} UTC{why}"
