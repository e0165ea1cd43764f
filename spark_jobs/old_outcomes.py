"""Outcomes that earlier versions wrote, as this one reads them."""

from typing import Any


def drop_moved(fields: dict[str, Any]) -> dict[str, Any]:
    """Outcomes of earlier versions held all of metrics.json; of it, the weakest class is kept."""
    moved = {"classes", "per_class", "confusion"}
    tested = [row for row in fields.get("per_class", ()) if row["support"]]
    weakest = min(tested, key=lambda row: row["recall"], default=None)
    kept = {name: value for name, value in fields.items() if name not in moved}
    return {"weakest": weakest} | kept
