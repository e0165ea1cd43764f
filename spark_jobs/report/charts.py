"""Plots as the few numbers that an inline SVG draws. Pure.

Static SVG, not a plotting library: bars and dots need a kilobyte, not the megabytes of script that
such a library inlines; they print, and they are there where no script may run, as in MLflow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serving.job.evaluation import CalibrationBin, Interval
from serving.job.search import Search, Trial

# The plotting area in the SVG's units; the template leaves room for words around it.
WIDTH, HEIGHT = 300.0, 180.0


@dataclass(frozen=True)
class Tick:
    """at: distance from the area's left, or from its top."""

    at: float
    text: str


@dataclass(frozen=True)
class Bin:
    """A bar of the calibration plot: x, width, and the tops of what it said and what was right."""

    x: float
    width: float
    top: float
    height: float
    said: float
    title: str


def draw_calibration(bins: Sequence[CalibrationBin], *, several: bool = False) -> tuple[Bin, ...]:
    """Bars of accuracy over the score that the model gave; empty bins are left out.

    several: every label of every picture has a score of its own.
    """
    thing, truth = ("labels", "there") if several else ("answers", "right")
    return tuple(
        Bin(
            x=round(WIDTH * one.low, 1),
            width=round(WIDTH * (one.high - one.low), 1),
            top=round(HEIGHT * (1 - one.accuracy), 1),
            height=round(HEIGHT * one.accuracy, 1),
            said=round(HEIGHT * (1 - one.mean_score), 1),
            title=f"{one.samples} {thing} with a score of {100 * one.mean_score:.0f} % on average: "
            f"{100 * one.accuracy:.0f} % {truth}",
        )
        for one in bins
        if one.samples
    )


@dataclass(frozen=True)
class Reserve:
    """What happens where only answers with a score above `above` count. Shares from 0 to 1."""

    above: float
    answered: float
    right: float
    wrong: int


def list_reserves(bins: Sequence[CalibrationBin]) -> tuple[Reserve, ...]:
    """From every answer to the surest only; steps that leave out nothing are left out."""
    total = sum(one.samples for one in bins)
    found, kept, hits = [], 0, 0.0
    for one in sorted(bins, key=lambda one: -one.low):
        if not one.samples:
            continue
        kept += one.samples
        hits += one.accuracy * one.samples
        found.append(Reserve(one.low, kept / total, hits / kept, round(kept - hits)))
    return tuple(reversed(found))


@dataclass(frozen=True)
class Whisker:
    """An interval on a line 100 wide, with its middle."""

    low: float
    width: float
    middle: float


def draw_whisker(interval: Interval, middle: float) -> Whisker:
    """Shares from 0 to 1."""
    low, high = 100 * interval.low, 100 * interval.high
    return Whisker(round(low, 1), round(max(0.5, high - low), 1), round(100 * middle, 1))


@dataclass(frozen=True)
class Dot:
    """A trial of the search."""

    x: float
    y: float
    radius: float
    kind: str
    title: str


@dataclass(frozen=True)
class Scatter:
    """Trials by latency and accuracy, their size as the dots' area. front: best first."""

    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    front: tuple[Trial, ...]


def draw_search(search: Search) -> Scatter | None:
    """All finished trials; None where none was."""
    done = [one for one in search.trials if one.state == "finished" and one.accuracy is not None]
    if not done:
        return None
    front = tuple(sorted(search.front, key=lambda one: (-(one.accuracy or 0), one.latency_ms)))
    fronted = {one.number for one in front}
    slowest = max(one.latency_ms for one in done) or 1.0
    worst = min(one.accuracy or 0.0 for one in done)
    largest = max(one.model_mb for one in done) or 1.0
    across, right = spread_ticks(0.0, slowest * 1.05)
    up, high = spread_ticks(worst, 1.0)
    low = float(up[0])

    def place(one: Trial) -> Dot:
        kind = "chosen" if one.number == search.best else "front" if one.number in fronted else ""
        return Dot(
            x=round(WIDTH * one.latency_ms / right, 1),
            y=round(HEIGHT * (high - (one.accuracy or 0.0)) / (high - low), 1),
            radius=round(2.5 + 4.5 * math.sqrt(one.model_mb / largest), 1),
            kind=kind,
            title=f"Trial {one.number}, {describe_recipe(one)}: {100 * (one.accuracy or 0):.1f} %, "
            f"{one.latency_ms:.1f} ms, {one.model_mb:.1f} MB",
        )

    # Small and chosen dots come last: they stay in sight.
    order = sorted(done, key=lambda one: (one.number == search.best, one.number in fronted))
    return Scatter(
        dots=tuple(place(one) for one in order),
        across=tuple(Tick(round(WIDTH * at / right, 1), f"{at:g}") for at in across),
        up=tuple(
            Tick(round(HEIGHT * (high - at) / (high - low), 1), f"{100 * at:g} %") for at in up
        ),
        front=front,
    )


def describe_recipe(trial: Trial) -> str:
    """Network and kind of head."""
    deeper = {
        "head": "",
        "last_blocks": ", last blocks trained, too",
        "network": ", whole network trained, too",
    }[trial.recipe.depth]
    return f"{trial.recipe.input}, {trial.recipe.head} head{deeper}"


def say_repeats(search: Search) -> str:
    """Whether the same search can be had again, and why not where it cannot."""
    if search.repeats:
        why = {
            "max_trials": "it ended at the number of trials that was asked for",
            "no_gain": "it ended when more trials would hardly have gained anything",
            "budget": "its time did not cut it short",
        }[search.ended_because]
        return f"This search repeats exactly: {why}; the same data, seed and machine give it again."
    if search.ended_because == "budget":
        return (
            "This search does not repeat exactly: its time was over, so how far it came depends on "
            "how fast the machine was. One with a number of trials does."
        )
    return (
        "This search does not repeat exactly: several processes tried at once, and which of them "
        "was first differs from time to time."
    )


def spread_ticks(low: float, high: float, most: int = 6) -> tuple[list[float], float]:
    """Round numbers that span from low to high, at most about `most`; and the last one."""
    span = max(high - low, 1e-6)
    size = 10 ** math.floor(math.log10(span / most))
    step = next(size * by for by in (1, 2, 5, 10) if span / (size * by) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(step * k, 10) for k in range(first, max(last, first + 1) + 1)]
    return ticks, ticks[-1]
