"""Which side a sample belongs to. Pure: no store, no chance beyond the seed."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from serving.bundle.manifest import ONE, Task
from serving.job.labels import list_classes
from spark_jobs.components import find_components
from spark_jobs.quotas import Block, place_blocks
from spark_jobs.spec import Origin, Side

SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True)
class SideRequest:
    """A sample; `split` as the user's folders gave it, `side` as it was assigned earlier.

    label: as it is stored, all of them where a sample has several.
    origin: who gave the side; None where it has none, or an older one of which nobody noted it.
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
    origin: Origin | None = None


@dataclass(frozen=True)
class Assignment:
    """sides of the samples that have one, and their origins; every other one is in `bridges`.

    bridges: a new sample that would join groups of two sides, or one whose side its split rules
    out → one witness of each side.
    """

    sides: dict[str, Side]
    origins: dict[str, Origin]
    bridges: dict[str, dict[Side, str]]


def count_sides(
    labels: Mapping[str, str], sides: Mapping[str, Side], task: Task = ONE
) -> dict[str, dict[Side, int]]:
    """Class → side → samples; classes sorted. A sample with several counts under each."""
    counts: dict[str, dict[Side, int]] = {}
    for sha256, label in labels.items():
        for name in list_classes(label, task):
            by_side = counts.setdefault(name, dict.fromkeys(SIDES, 0))
            by_side[sides[sha256]] += 1
    return dict(sorted(counts.items()))


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


def find_origin(request: SideRequest, splits: frozenset[str]) -> Origin:
    """As it was noted with the side; else what the splits of today tell."""
    if request.origin is not None:
        return request.origin
    allowed = allowed_sides(request.split, splits)
    # A side that the split does not lead to was cut from it, when the dataset had other splits.
    given = len(allowed) == 1 and request.side in (None, *allowed)
    return "given" if given else "assigned"


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


def _rank(seed: int, sha256: str) -> str:
    return hashlib.sha256(f"{seed}/{sha256}".encode()).hexdigest()


@dataclass
class _Placing:
    """Samples that have their side, and what follows from it for the others."""

    quotas: Mapping[Side, float]
    seed: int
    task: Task
    sides: dict[str, Side] = field(default_factory=dict)
    counts: dict[str, Counter[Side]] = field(default_factory=lambda: defaultdict(Counter))
    groups: dict[str, dict[Side, str]] = field(default_factory=lambda: defaultdict(dict))
    given: dict[str, SideRequest] = field(default_factory=dict)

    def fix(self, request: SideRequest, side: Side, origin: Origin) -> None:
        self.sides[request.sha256] = side
        for name in list_classes(request.label, self.task):
            self.counts[name][side] += 1
        if origin == "given":
            self.given[request.sha256] = request
        if request.group is not None:
            self._note(self.groups[request.group], request.sha256)

    def _note(self, found: dict[Side, str], other: str) -> None:
        """One witness a side: where there is a choice, one whose side we gave."""
        side = self.sides[other]
        if side not in found or (found[side] in self.given and other not in self.given):
            found[side] = other

    def touch(self, requests: Iterable[SideRequest], allowed: Sequence[Side]) -> dict[Side, str]:
        """Side → a sample on it that one of these belongs together with.

        Where the user gave both this one's split and that one's side, they are the user's word.
        """
        found: dict[Side, str] = {}
        for request in requests:
            for other in (*request.near, *request.follows):
                if other in self.sides:
                    self._note(found, other)
            if request.group is not None:
                for other in self.groups.get(request.group, {}).values():
                    self._note(found, other)
        return {s: one for s, one in found.items() if s in allowed or one not in self.given}


def _is_torn(touched: Mapping[Side, str], allowed: Sequence[Side]) -> bool:
    return len(touched) > 1 or any(side not in allowed for side in touched)


def _place(
    waiting: list[SideRequest], allowed: tuple[Side, ...], placing: _Placing
) -> dict[str, dict[Side, str]]:
    """Give these samples their sides; those that would join two sides are returned."""
    if len(allowed) == 1:
        # The user's word: kept, and reported where it splits a group.
        for request in waiting:
            placing.fix(request, allowed[0], "given")
        return {}
    bridges: dict[str, dict[Side, str]] = {}
    for request in waiting:
        touched = placing.touch([request], allowed)
        if _is_torn(touched, allowed):
            bridges[request.sha256] = touched
    rest = {r.sha256: r for r in waiting if r.sha256 not in bridges}
    # Copies of one picture belong together also where that lies on a side they may not go to.
    apart = {sha: r for sha, r in placing.given.items() if placing.sides[sha] not in allowed}
    known = apart | rest
    free: list[list[SideRequest]] = []
    for unit in find_units(list(known.values())):
        members = [rest[sha256] for sha256 in unit if sha256 in rest]
        touched = placing.touch((known[sha256] for sha256 in unit), allowed) if members else {}
        if _is_torn(touched, allowed):
            bridges.update({member.sha256: touched for member in members})
        elif touched:
            (side,) = touched
            for member in members:
                placing.fix(member, side, "assigned")
        elif members:
            free.append(members)
    _fill_quotas(free, allowed, placing)
    return bridges


def _fill_quotas(
    units: list[list[SideRequest]], allowed: tuple[Side, ...], placing: _Placing
) -> None:
    share = sum(placing.quotas[side] for side in allowed)
    blocks = [
        Block(
            samples=len(unit),
            classes=Counter(name for m in unit for name in list_classes(m.label, placing.task)),
            rank=_rank(placing.seed, unit[0].sha256),
        )
        for unit in units
    ]
    sides = place_blocks(
        blocks,
        quotas={side: placing.quotas[side] / share for side in allowed},
        counts=placing.counts,
        totals=Counter(placing.sides.values()),
        task=placing.task,
    )
    for place, side in sides.items():
        for member in units[place]:
            placing.fix(member, side, "assigned")


def assign_sides(
    requests: Iterable[SideRequest], quotas: Mapping[Side, float], seed: int, task: Task = ONE
) -> Assignment:
    """Side of each sample; sides that stand are kept. The order of the requests is of no account.

    What belongs together goes to one side: the one where some of it lies already, else the one
    that lacks most. Stratified: each class fills its own quotas. With three units or more, and no
    split given, a class has at least one on each side; where a sample has several labels, as far as
    the other ones leave a choice.
    """
    ordered = sorted(requests, key=lambda request: request.sha256)
    splits = frozenset(request.split for request in ordered if request.split is not None)
    placing = _Placing(quotas, seed, task)
    waiting: dict[tuple[Side, ...], list[SideRequest]] = defaultdict(list)
    for request in ordered:
        if request.side is None:
            waiting[allowed_sides(request.split, splits)].append(request)
        else:
            placing.fix(request, request.side, find_origin(request, splits))
    bridges: dict[str, dict[Side, str]] = {}
    # Those with the least choice first, so that the others can fill what is left open.
    for allowed in sorted(waiting, key=lambda allowed: (len(allowed), allowed)):
        bridges.update(_place(waiting[allowed], allowed, placing))
    origins: dict[str, Origin] = {
        sha256: "given" if sha256 in placing.given else "assigned" for sha256 in placing.sides
    }
    return Assignment(placing.sides, origins, bridges)
