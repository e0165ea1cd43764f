"""Which side a sample belongs to. Pure: no store, no chance beyond the seed."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from spark_jobs.components import find_components
from spark_jobs.spec import Side

SIDES: tuple[Side, ...] = get_args(Side)
KEPT_FIRST: tuple[Side, ...] = ("train", "test", "val")


@dataclass(frozen=True)
class SideRequest:
    """A sample; `split` as the user's folders gave it, `side` as it was assigned earlier.

    group: the user's own (same object, same camera). near: sha256 of its near-duplicates, which
    form a group with it. follows: of others whose side it takes as long as it has none.
    """

    sha256: str
    label: str
    split: str | None
    side: Side | None
    group: str | None = None
    near: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """sides of the samples that have one; every other one is in `bridges`.

    bridges: a new sample that would join groups of two sides → one witness of each side.
    """

    sides: dict[str, Side]
    bridges: dict[str, dict[Side, str]]


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


def link(requests: Sequence[SideRequest]) -> list[tuple[str, str]]:
    """Edges between those of them that belong together: near-duplicates, and one group's members.

    A group is a chain, not all pairs of its members.
    """
    here = {request.sha256 for request in requests}
    edges = [(r.sha256, other) for r in requests for other in r.near if other in here]
    last: dict[str, str] = {}
    for request in requests:
        if request.group is not None:
            if request.group in last:
                edges.append((last[request.group], request.sha256))
            last[request.group] = request.sha256
    return edges


def find_units(requests: Sequence[SideRequest]) -> list[list[str]]:
    """What must lie on one side together; samples alone included."""
    return find_components((request.sha256 for request in requests), link(requests))


def find_conflicts(
    requests: Sequence[SideRequest], sides: Mapping[str, Side]
) -> dict[str, dict[Side, str]]:
    """What has to be left out so that no unit lies on two sides: sample → a witness of each side.

    Sides are for life, what belongs together is not: a label is corrected, a class grows, two
    runs give sides at once. Then the samples on one side stay: those on train, for a model may
    have learned from them, else those on test. Sides that the user gave are the user's word.
    """
    splits = frozenset(request.split for request in requests if request.split is not None)
    free = [r for r in requests if len(allowed_sides(r.split, splits)) > 1]
    conflicts: dict[str, dict[Side, str]] = {}
    for unit in find_units(free):
        there = {sides[sha256] for sha256 in unit}
        if len(there) > 1:
            kept = next(side for side in KEPT_FIRST if side in there)
            witness = next(sha256 for sha256 in unit if sides[sha256] == kept)
            leaving = [sha256 for sha256 in unit if sides[sha256] != kept]
            conflicts |= {sha: {kept: witness, sides[sha]: sha} for sha in leaving}
    return conflicts


def _rank(seed: int, sha256: str) -> str:
    return hashlib.sha256(f"{seed}/{sha256}".encode()).hexdigest()


@dataclass
class _Placing:
    """Samples that have their side, and what follows from it for the others."""

    quotas: Mapping[Side, float]
    seed: int
    sides: dict[str, Side] = field(default_factory=dict)
    counts: dict[str, Counter[Side]] = field(default_factory=lambda: defaultdict(Counter))
    groups: dict[str, dict[Side, str]] = field(default_factory=lambda: defaultdict(dict))

    def fix(self, request: SideRequest, side: Side) -> None:
        self.sides[request.sha256] = side
        self.counts[request.label][side] += 1
        if request.group is not None:
            self.groups[request.group].setdefault(side, request.sha256)

    def touch(self, requests: Iterable[SideRequest], allowed: Sequence[Side]) -> dict[Side, str]:
        """Side → a sample on it that one of these belongs together with."""
        found: dict[Side, str] = {}
        for request in requests:
            for other in (*request.near, *request.follows):
                if other in self.sides:
                    found.setdefault(self.sides[other], other)
            if request.group is not None:
                for side, other in self.groups.get(request.group, {}).items():
                    found.setdefault(side, other)
        return {side: other for side, other in found.items() if side in allowed}

    def pick(
        self, unit: Counter[str], allowed: Sequence[Side], left: Counter[str], tie: str
    ) -> Side:
        """The side most below its quota, over all classes of the unit.

        The last units of a class go to sides that are still empty.
        """
        share = sum(self.quotas[side] for side in allowed)
        candidates: Sequence[Side] = allowed
        for label, _ in unit.most_common():
            empty = [side for side in allowed if not self.counts[label][side]]
            if empty and len(empty) >= left[label]:
                candidates = empty
                break

        def lack(side: Side) -> tuple[float, str]:
            below = 0.0
            for label, size in unit.items():
                total = sum(self.counts[label][one] for one in allowed) + size
                quota = self.quotas[side] / share
                below += size * (quota * total - self.counts[label][side])
            return (round(below, 9), hashlib.sha256(f"{tie}/{side}".encode()).hexdigest())

        return max(candidates, key=lack)


def _place(
    waiting: list[SideRequest], allowed: tuple[Side, ...], placing: _Placing
) -> dict[str, dict[Side, str]]:
    """Give these samples their sides; those that would join two sides are returned."""
    if len(allowed) == 1:
        # The user's word: kept, and reported where it splits a group.
        for request in waiting:
            placing.fix(request, allowed[0])
        return {}
    bridges: dict[str, dict[Side, str]] = {}
    for request in waiting:
        touched = placing.touch([request], allowed)
        if len(touched) > 1:
            bridges[request.sha256] = touched
    rest = {r.sha256: r for r in waiting if r.sha256 not in bridges}
    free: list[list[SideRequest]] = []
    for unit in find_units(list(rest.values())):
        members = [rest[sha256] for sha256 in unit]
        touched = placing.touch(members, allowed)
        if len(touched) > 1:
            bridges.update(dict.fromkeys(unit, touched))
        elif touched:
            (side,) = touched
            for member in members:
                placing.fix(member, side)
        else:
            free.append(members)
    _fill_quotas(free, allowed, placing)
    return bridges


def _fill_quotas(
    units: list[list[SideRequest]], allowed: tuple[Side, ...], placing: _Placing
) -> None:
    """Large units first: small ones can even out what they leave."""
    classes = [Counter(member.label for member in unit) for unit in units]
    left: Counter[str] = Counter(label for unit in classes for label in unit)
    ranks = [_rank(placing.seed, unit[0].sha256) for unit in units]
    for i in sorted(range(len(units)), key=lambda i: (-len(units[i]), ranks[i])):
        side = placing.pick(classes[i], allowed, left, ranks[i])
        for member in units[i]:
            placing.fix(member, side)
        left.subtract(classes[i].keys())


def assign_sides(
    requests: Iterable[SideRequest], quotas: Mapping[Side, float], seed: int
) -> Assignment:
    """Side of each sample; sides that stand are kept. The order of the requests is of no account.

    What belongs together goes to one side: the one where some of it lies already, else the one
    that lacks most. Stratified: each class fills its own quotas. With three units or more, and no
    split given, a class has at least one on each side.
    """
    ordered = sorted(requests, key=lambda request: request.sha256)
    splits = frozenset(request.split for request in ordered if request.split is not None)
    placing = _Placing(quotas, seed)
    waiting: dict[tuple[Side, ...], list[SideRequest]] = defaultdict(list)
    for request in ordered:
        if request.side is None:
            waiting[allowed_sides(request.split, splits)].append(request)
        else:
            placing.fix(request, request.side)
    bridges: dict[str, dict[Side, str]] = {}
    # Those with the least choice first, so that the others can fill what is left open.
    for allowed in sorted(waiting, key=lambda allowed: (len(allowed), allowed)):
        bridges.update(_place(waiting[allowed], allowed, placing))
    return Assignment(placing.sides, bridges)
