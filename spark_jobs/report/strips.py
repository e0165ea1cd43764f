"""Which samples the page shows of what the etl found, and in which order. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from serving.bundle.manifest import Task
from serving.job.labels import list_classes
from spark_jobs.report_models import EtlReport, SampleGroup
from spark_jobs.spec import Side

# Of each kind so many are shown; etl_report.json names more.
SHOWN_PAIRS = 12
SHOWN_GROUPS = 8
SHOWN_SCENES = 4
SHOWN_MEMBERS = 6
MOST_PICTURES = 200


@dataclass(frozen=True)
class Tile:
    """A sample to show; sha256 is empty where an older report did not note it."""

    name: str
    sha256: str
    note: str = ""


@dataclass(frozen=True)
class Strip:
    """Samples to be looked at together, of `size` in all."""

    size: int
    tiles: tuple[Tile, ...]
    labels: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()


@dataclass(frozen=True)
class Shown:
    """What is shown of each kind of finding, in the page's order."""

    pairs: tuple[Strip, ...]
    leaks: tuple[Strip, ...]
    rejected: tuple[Tile, ...]
    copies: tuple[Strip, ...]
    scenes: tuple[Strip, ...]


def _tiles(names: tuple[str, ...], hashes: tuple[str, ...]) -> Iterator[Tile]:
    for name, sha256 in zip(names, hashes or ("",) * len(names), strict=True):
        yield Tile(name, sha256)


def _tell(label: str, task: Task) -> str:
    """Several labels so that a comma can stand between two samples' ones."""
    return " + ".join(list_classes(label, task))


def _strips(groups: Iterable[SampleGroup], task: Task) -> tuple[Strip, ...]:
    return tuple(
        Strip(
            size=group.size,
            tiles=tuple(_tiles(group.names, group.hashes))[:SHOWN_MEMBERS],
            labels=tuple(_tell(label, task) for label in group.labels),
            sides=group.sides,
        )
        for group in groups
    )


def choose_shown(report: EtlReport) -> Shown:
    """The first of each kind: findings come with the largest first."""
    near, sides = report.near_duplicates, report.sides
    pairs = near.cross_label_pairs[:SHOWN_PAIRS] if near else ()
    return Shown(
        pairs=tuple(
            Strip(
                2,
                tuple(
                    Tile(tile.name, tile.sha256, _tell(label, report.task))
                    for tile, label in zip(
                        _tiles(pair.names, pair.hashes), pair.labels, strict=True
                    )
                ),
            )
            for pair in pairs
        ),
        leaks=_strips(sides.leaking_groups[:SHOWN_GROUPS] if sides else (), report.task),
        rejected=tuple(Tile(r.name, r.sha256, r.reason) for r in report.rejections),
        copies=_strips(near.largest[:SHOWN_GROUPS] if near else (), report.task),
        scenes=_strips(near.over_large[:SHOWN_SCENES] if near else (), report.task),
    )


def list_hashes(shown: Shown) -> list[str]:
    """Samples whose pictures the page needs: in its order, each once, MOST_PICTURES at most."""
    strips = (*shown.pairs, *shown.leaks, Strip(0, shown.rejected), *shown.copies, *shown.scenes)
    hashes = dict.fromkeys(tile.sha256 for strip in strips for tile in strip.tiles if tile.sha256)
    return list(hashes)[:MOST_PICTURES]
