"""Give each sample its side - train, val or test - for life; what belongs together stays so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.errors import UserError
from serving.job.text import list_some
from spark_jobs.arrays import make_array
from spark_jobs.claims import Claim, claim_sides
from spark_jobs.context import StageContext
from spark_jobs.report_models import SampleGroup, SideFindings
from spark_jobs.session import make_frame
from spark_jobs.side_conflicts import find_conflicts
from spark_jobs.sides import (
    SIDES,
    Assignment,
    SideRequest,
    assign_sides,
    count_sides,
    find_units,
)
from spark_jobs.spec import Side, StageParams

# The report names so many; the totals stand beside them.
MOST_GROUPS = 20
MOST_NAMES = 20
MOST_CLASSES = 10


class Params(StageParams):
    """Quotas of the two smaller sides; train has the rest."""

    val: float = Field(default=0.15, gt=0, lt=0.5)
    test: float = Field(default=0.15, gt=0, lt=0.5)


@dataclass(frozen=True)
class Unit:
    """Samples that belong together, and the name that they share; None: a sample alone."""

    members: list[SideRequest]
    group: str | None


def list_units(requests: Sequence[SideRequest]) -> list[Unit]:
    """The user's group keeps its name; where near-duplicates joined, the smallest sha256 is it."""
    known = {request.sha256: request for request in requests}
    units = []
    for unit in find_units(requests):
        members = [known[sha256] for sha256 in unit]
        groups = {member.group for member in members}
        alone = len(groups) == 1 and not any(other in known for m in members for other in m.near)
        units.append(Unit(members, groups.pop() if alone else unit[0]))
    return units


def _name_members(
    unit: Unit, sides: Mapping[str, Side], names: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Names and hashes, the first of each side before the second of any: a cut list has both."""
    seen: Counter[Side] = Counter()
    ranked = []
    for name, sha in sorted((names[m.sha256], m.sha256) for m in unit.members):
        seen[sides[sha]] += 1
        ranked.append((seen[sides[sha]], name, sha))
    return [(name, sha) for _, name, sha in sorted(ranked)[:MOST_NAMES]]


def find_leaks(
    units: Sequence[Unit], sides: Mapping[str, Side], names: Mapping[str, str]
) -> SideFindings:
    """Groups on two sides: the sides were given by the user, or a snapshot has them so."""
    leaks = [unit for unit in units if len({sides[m.sha256] for m in unit.members}) > 1]
    largest = sorted(leaks, key=lambda unit: (-len(unit.members), unit.members[0].sha256))
    named = [(unit, _name_members(unit, sides, names)) for unit in largest[:MOST_GROUPS]]
    return SideFindings(
        leaks=len(leaks),
        leaking_groups=tuple(
            SampleGroup(
                size=len(unit.members),
                labels=tuple(sorted({m.label for m in unit.members})),
                sides=tuple(s for s in SIDES if s in {sides[m.sha256] for m in unit.members}),
                names=tuple(name for name, _ in members),
                hashes=tuple(sha for _, sha in members),
            )
            for unit, members in named
        ),
        bridges=0,
    )


def tell_bridge(sha256: str, witnesses: Mapping[Side, str], names: Mapping[str, str]) -> str:
    """Why a sample is left out; it may be a witness itself, where it has a side."""
    own = [side for side, witness in witnesses.items() if witness == sha256]
    others = [(side, witnesses[side]) for side in SIDES if side in witnesses and side not in own]
    found = " and ".join(f"{names[witness]} ({side})" for side, witness in others)
    if len(witnesses) == 1:
        found += ", a side that its split rules out"
    itself = "".join(f", and is on {side} itself" for side in own)
    return f"bridges_split: belongs together with {found}{itself}"


def _read_requests(samples: DataFrame) -> tuple[list[SideRequest], dict[str, str], set[str]]:
    """Requests, names, and the hashes of those that are left out but bind others."""
    # A sample that is left out today keeps its side, so it still binds those that resemble it.
    bound = samples.where(F.col("reject_reason").isNull() | F.col("side").isNotNull())
    columns = ("sha256", "label", "split", "side", "group", "near", "follows")
    origin = F.col("side_origin").alias("origin")
    rejected = F.col("reject_reason").isNotNull().alias("rejected")
    rows = bound.select(*columns, origin, "name", rejected).toArrow().to_pylist()
    requests = [
        SideRequest(
            sha256=row["sha256"],
            label=row["label"],
            split=row["split"],
            side=row["side"],
            group=row["group"],
            near=tuple(row["near"] or ()),
            follows=tuple(row["follows"] or ()),
            origin=row["origin"],
        )
        for row in rows
    ]
    names = {row["sha256"]: row["name"] for row in rows}
    return requests, names, {row["sha256"] for row in rows if row["rejected"]}


@dataclass(frozen=True)
class Decision:
    """used: samples that are left, with their `sides`; reasons: why others are left out."""

    used: list[SideRequest]
    sides: dict[str, Side]
    reasons: dict[str, str]


def decide(
    usable: Sequence[SideRequest],
    assignment: Assignment,
    names: Mapping[str, str],
    *,
    as_they_are: bool,
) -> Decision:
    """Leave out what cannot lie on one side with what it belongs to; as_they_are: leave out none.

    usable: those that no stage has rejected.
    """
    placed = [request for request in usable if request.sha256 in assignment.sides]
    conflicts: dict[str, dict[Side, str]] = {}
    if not as_they_are:
        conflicts = find_conflicts(placed, assignment.sides, assignment.origins)
    used = [request for request in placed if request.sha256 not in conflicts]
    sides = {request.sha256: assignment.sides[request.sha256] for request in used}
    apart = assignment.bridges | conflicts
    reasons = {sha: tell_bridge(sha, found, names) for sha, found in apart.items()}
    return Decision(used, sides, reasons)


def take_over(wanted: Assignment, claimed: Mapping[str, Claim]) -> Assignment:
    """What stands by now, where another run was first."""
    sides = {sha: claim.side for sha, claim in claimed.items()}
    origins = {sha: claim.origin for sha, claim in claimed.items() if claim.origin is not None}
    return replace(wanted, sides=wanted.sides | sides, origins=wanted.origins | origins)


def check_sides(decision: Decision, dataset: str, task: Task = ONE) -> None:
    """UserError where there is one class only, or a class that is missing on a side.

    A sample with several labels counts under each.
    """
    labels = {request.sha256: request.label for request in decision.used}
    counts = count_sides(labels, decision.sides, task)
    if len(counts) < 2:
        raise UserError(
            f"Dataset {dataset!r} has {len(labels)} usable samples of "
            f"{len(counts)} class{'' if len(counts) == 1 else 'es'}"
            f"{''.join(f' ({name!r})' for name in counts)} as of the run's cut-off "
            "time: at least two classes are needed."
        )
    small = {name: by for name, by in counts.items() if not all(by[side] for side in SIDES)}
    if small:
        numbers = [
            f"{name!r}: {', '.join(f'{by[side]} {side}' for side in SIDES)}"
            for name, by in sorted(small.items())
        ]
        away, choice = "their folders out", ""
        if task == SEVERAL:
            away = "these labels off"
            choice = ", and the pictures' other labels have to leave a choice of sides"
        raise UserError(
            f"{len(small)} of the {len(counts)} classes of dataset {dataset!r} are without a "
            f"sample on every side ({list_some(numbers, MOST_CLASSES, '; ')}). Each class needs at "
            "least 3 samples, one each to train on, stop by and test on, and near-duplicates count "
            f"as one{choice}: import more pictures of these classes, or take {away}."
        )


def _to_table(decision: Decision, units: Sequence[Unit]) -> pa.Table:
    groups = {member.sha256: unit.group for unit in units for member in unit.members}
    hashes = [*decision.sides, *decision.reasons]
    return pa.table(
        {
            "sha256": make_array(hashes, pa.string()),
            "side": make_array([decision.sides.get(sha) for sha in hashes], pa.string()),
            "unit": make_array([groups.get(sha) for sha in hashes], pa.string()),
            "apart": make_array([decision.reasons.get(sha) for sha in hashes], pa.string()),
        }
    )


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Sides are decided in the driver, from labels and links, and written where none stands.

    `group` becomes the name that samples of one unit share.
    """
    requests, names, left_out = _read_requests(samples)
    usable = [request for request in requests if request.sha256 not in left_out]
    # What a model learned from once is learned from again, whatever is known by now.
    settle = partial(decide, usable, names=names, as_they_are=bool(context.snapshot_id))
    wanted = assign_sides(
        requests,
        quotas={"train": 1 - params.val - params.test, "val": params.val, "test": params.test},
        seed=context.seed,
        task=context.task,
    )
    decision = settle(wanted)
    check_sides(decision, context.dataset, context.task)
    fresh = {
        r.sha256: Claim(decision.sides[r.sha256], wanted.origins[r.sha256])
        for r in decision.used
        if r.side is None
    }
    claimed = claim_sides(context.dataset, fresh, context.cutoff)
    if claimed != fresh:
        decision = settle(take_over(wanted, claimed))
        check_sides(decision, context.dataset, context.task)
    units = list_units(decision.used)
    findings = find_leaks(units, decision.sides, names)
    context.findings.sides = findings.model_copy(update={"bridges": len(decision.reasons)})
    decided = make_frame(context.spark, _to_table(decision, units))
    rows = samples.drop("side").join(F.broadcast(decided), on="sha256", how="left")
    return rows.withColumns(
        {
            "group": F.coalesce("unit", "group"),
            "reject_reason": F.coalesce("reject_reason", "apart"),
        }
    ).drop("unit", "apart")
