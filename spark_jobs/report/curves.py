"""ROC and precision over recall, as paths that an inline SVG draws. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serving.job.evaluation import ClassScore
from spark_jobs.report.charts import HEIGHT, WIDTH

# More lines than these are a tangle; each has its own colour and dashes in style.css.
MOST_CURVES = 6


@dataclass(frozen=True)
class ClassCurves:
    """One class: the `d` of its two paths, and the areas below them."""

    label: str
    roc: str
    precision_recall: str
    roc_auc: float | None
    average_precision: float | None


@dataclass(frozen=True)
class Curves:
    """Those that are told apart worst, first; classes: how many have a curve at all."""

    shown: tuple[ClassCurves, ...]
    classes: int


def _draw(points: Iterable[tuple[float, float]]) -> str:
    """Points of the unit square → a path; those that fall on the one before are left out."""
    placed = [(round(WIDTH * x, 1), round(HEIGHT * (1 - y), 1)) for x, y in points]
    kept = [point for i, point in enumerate(placed) if not i or point != placed[i - 1]]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in kept)


def draw_curves(rows: Sequence[ClassScore]) -> Curves:
    """Of classes that have samples, beside others that have some."""
    found = sorted(
        (row.average_precision or 0.0, row.label, row, row.curve) for row in rows if row.curve
    )
    shown = tuple(
        ClassCurves(
            label=row.label,
            roc=_draw(zip(curve.false_positive_rate, curve.recall, strict=True)),
            precision_recall=_draw(zip(curve.recall, curve.precision, strict=True)),
            roc_auc=row.roc_auc,
            average_precision=row.average_precision,
        )
        for _, _, row, curve in found[:MOST_CURVES]
    )
    return Curves(shown, len(found))
