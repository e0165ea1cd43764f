"""Sides for life: written where none stands, by whichever run is first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from serving.job.samples import name_sample
from spark_jobs.database import connect
from spark_jobs.spec import Origin, Side

UPDATES = 200


@dataclass(frozen=True)
class Claim:
    """A side, and who gave it; None: nobody noted it."""

    side: Side
    origin: Origin | None


def claim_sides(dataset: str, wanted: Mapping[str, Claim], cutoff: datetime) -> dict[str, Claim]:
    """Write sides where none stands; the sides that count: another run's, where it was first.

    cutoff: the run's. It is what a side is dated by, so that the same run sees it again, and one
    that was planned before does not, whenever they happen to be carried out.
    """
    hashes = sorted(wanted)
    claimed: dict[str, Claim] = {}
    with connect() as database:
        samples = database["samples"]
        for start in range(0, len(hashes), UPDATES):
            part = hashes[start : start + UPDATES]
            names: dict[Claim, list[str]] = {}
            for sha in part:
                names.setdefault(wanted[sha], []).append(name_sample(dataset, sha))
            for claim, ids in names.items():
                fields = {"side": claim.side, "side_origin": claim.origin, "side_at": cutoff}
                samples.update_many({"_id": {"$in": ids}, "side": None}, {"$set": fields})
            all_ids = [name_sample(dataset, sha) for sha in part]
            shape = {"sha256": 1, "side": 1, "side_origin": 1}
            for document in samples.find({"_id": {"$in": all_ids}}, shape):
                claim = Claim(document["side"], document.get("side_origin"))
                claimed[document["sha256"]] = claim
    return claimed
