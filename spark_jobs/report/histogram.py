"""Pictures per class and side, as bars that stay readable whatever the number of classes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from spark_jobs.spec import Side

# Beyond so many classes only the ENDS largest and the ENDS smallest have a bar of their own.
MOST_BARS = 40
ENDS = 12
CURVE_POINTS = 200


@dataclass(frozen=True)
class Part:
    """A side's piece of a bar; start and width in percent of the largest class."""

    side: Side
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A class."""

    label: str
    total: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Histogram:
    """bars: those before the gap; rest: those after it.

    hidden: totals of the classes in the gap, largest first. curve: totals of all classes, largest
    first, as points of a polygon 100 wide and 100 high; empty where nothing is hidden.
    """

    bars: tuple[Bar, ...]
    hidden: tuple[int, ...] = ()
    rest: tuple[Bar, ...] = ()
    curve: str = ""


def _make_bar(label: str, counts: Mapping[Side, dict[str, int]], largest: int) -> Bar:
    parts, start = [], 0.0
    for side, by_class in counts.items():
        count = by_class.get(label, 0)
        width = 100 * count / largest
        parts.append(Part(side, count, round(start, 2), round(width, 2)))
        start += width
    return Bar(label, sum(part.count for part in parts), tuple(parts))


def _draw_curve(totals: list[int]) -> str:
    count = len(totals)
    ranks = sorted({round(i * (count - 1) / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)})
    points = [(100 * rank / (count - 1), 100 - 100 * totals[rank] / totals[0]) for rank in ranks]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0.0, 100.0), *points, (100.0, 100.0)])


def make_histogram(counts: Mapping[Side, dict[str, int]]) -> Histogram:
    """counts: side → class → samples. Few classes come by name, many by size."""
    labels = sorted({label for by_class in counts.values() for label in by_class})
    totals = {label: sum(by.get(label, 0) for by in counts.values()) for label in labels}
    largest = max(1, *totals.values())
    bars = [_make_bar(label, counts, largest) for label in labels]
    if len(bars) <= MOST_BARS:
        return Histogram(tuple(bars))
    bars.sort(key=lambda bar: (-bar.total, bar.label))
    sizes = [bar.total for bar in bars]
    return Histogram(
        bars=tuple(bars[:ENDS]),
        hidden=tuple(sizes[ENDS:-ENDS]),
        rest=tuple(bars[-ENDS:]),
        curve=_draw_curve(sizes),
    )
