"""Which side a sample belongs to. Pure: no store, no chance beyond the seed."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from spark_jobs.spec import Side

SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True)
class SideRequest:
    """A sample; `split` as the user's folders gave it, `side` as it was assigned earlier."""

    sha256: str
    label: str
    split: str | None
    side: Side | None


def count_sides(labels: Mapping[str, str], sides: Mapping[str, Side]) -> dict[str, dict[Side, int]]:
    """Class → side → samples; classes sorted."""
    counts: dict[str, dict[Side, int]] = {}
    for sha256, label in sorted(labels.items(), key=lambda pair: pair[1]):
        by_side = counts.setdefault(label, dict.fromkeys(SIDES, 0))
        by_side[sides[sha256]] += 1
    return counts


def allowed_sides(split: str | None, splits: frozenset[str]) -> tuple[Side, ...]:
    """Sides that a sample may go to, given its split and those that the dataset has.

    A given test side is never trained on. Without one, val is the test side; the side that is
    then missing is cut from train.
    """
    if split is None or splits == {"train"}:
        return SIDES
    if split == "test":
        return ("test",)
    if split == "val":
        return ("val",) if "test" in splits else ("test",)
    return ("train",) if {"val", "test"} <= splits else ("train", "val")


def _rank(seed: int, sha256: str) -> str:
    return hashlib.sha256(f"{seed}/{sha256}".encode()).hexdigest()


def _pick(
    counts: Mapping[Side, int],
    allowed: tuple[Side, ...],
    quotas: Mapping[Side, float],
    left: int,
    tie: str,
) -> Side:
    """The side most below its quota; the last `left` samples go to sides that are still empty."""
    total = sum(counts[side] for side in allowed) + 1
    share = sum(quotas[side] for side in allowed)
    empty = [side for side in allowed if counts[side] == 0]
    candidates = empty if len(empty) >= left and empty else list(allowed)

    def lack(side: Side) -> tuple[float, str]:
        below = quotas[side] / share * total - counts[side]
        return (round(below, 9), hashlib.sha256(f"{tie}/{side}".encode()).hexdigest())

    return max(candidates, key=lack)


def assign_sides(
    requests: Iterable[SideRequest], quotas: Mapping[Side, float], seed: int
) -> dict[str, Side]:
    """Side of each sample; sides that stand are kept. The order of the requests is of no account.

    Stratified: each class fills its own quotas. With three samples or more, and no split given, a
    class has at least one on each side.
    """
    classes: dict[str, list[SideRequest]] = defaultdict(list)
    splits = set()
    for request in requests:
        classes[request.label].append(request)
        if request.split is not None:
            splits.add(request.split)
    given = frozenset(splits)
    sides: dict[str, Side] = {}
    for members in classes.values():
        sides.update(_assign_class(members, given, quotas, seed))
    return sides


def _assign_class(
    members: list[SideRequest], splits: frozenset[str], quotas: Mapping[Side, float], seed: int
) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    counts: dict[Side, int] = dict.fromkeys(SIDES, 0)
    waiting: dict[tuple[Side, ...], list[SideRequest]] = defaultdict(list)
    for member in members:
        if member.side is None:
            waiting[allowed_sides(member.split, splits)].append(member)
        else:
            sides[member.sha256] = member.side
            counts[member.side] += 1
    # Those with the least choice first, so that the others can fill what is left open.
    for allowed in sorted(waiting, key=len):
        group = sorted(waiting[allowed], key=lambda member: _rank(seed, member.sha256))
        for done, member in enumerate(group):
            tie = _rank(seed, member.sha256)
            side = _pick(counts, allowed, quotas, len(group) - done, tie)
            sides[member.sha256] = side
            counts[side] += 1
    return sides
