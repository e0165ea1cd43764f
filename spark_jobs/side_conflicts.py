"""What has to be left out so that nothing that belongs together lies on two sides. Pure."""

from collections.abc import Mapping, Sequence

from spark_jobs.sides import SideRequest, find_units
from spark_jobs.spec import Origin, Side

KEPT_FIRST: tuple[Side, ...] = ("train", "test", "val")


def find_conflicts(
    requests: Sequence[SideRequest], sides: Mapping[str, Side], origins: Mapping[str, Origin]
) -> dict[str, dict[Side, str]]:
    """Sample → a witness of each side, for samples of a unit that we have put on two sides.

    Sides are for life, what belongs together is not: a label is corrected, a class grows, two
    runs give sides at once. Then the samples on one side stay: those on train, for a model may
    have learned from them, else those on test; but a new sample pushes no older one out. Sides
    that the user gave are the user's word: they stay, and still join what they belong together
    with.
    """
    standing = {request.sha256 for request in requests if request.side is not None}
    conflicts: dict[str, dict[Side, str]] = {}
    for unit in find_units(requests):
        ours = [sha256 for sha256 in unit if origins[sha256] == "assigned"]
        there = {sides[sha256] for sha256 in ours}
        if len(there) > 1:
            before = {sides[sha256] for sha256 in ours if sha256 in standing}
            kept = next(side for side in KEPT_FIRST if side in (before or there))
            witness = next(sha256 for sha256 in ours if sides[sha256] == kept)
            leaving = [sha256 for sha256 in ours if sides[sha256] != kept]
            conflicts |= {sha: {kept: witness, sides[sha]: sha} for sha in leaving}
    return conflicts
