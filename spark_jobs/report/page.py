"""The report of an evaluation: one HTML page that needs nothing beside itself."""

import math
from importlib import resources

from serving.bundle.manifest import Lineage
from serving.job.evaluation import BadCases, Evaluation
from serving.job.spec import Spec
from spark_jobs.report.histogram import make_histogram
from spark_jobs.report.many_classes import (
    MOST_IN_MATRIX,
    MOST_ROWS,
    list_confusions,
    list_weakest,
)
from spark_jobs.report.strips import choose_shown
from spark_jobs.report_models import EtlReport, Pictures
from spark_jobs.spec import Champion, ClassMetrics

TEMPLATE = "report.html"
# Beyond so many classes the matrix shows colours only; each cell tells its number when pointed at.
MAX_NUMBERED_CLASSES = 15
HEAT_STEPS = 10
LONGEST_NAME = 48


class BadCase(Spec):
    """A wrongly classified picture; thumbnail is a data: URI, or empty."""

    name: str
    label: str
    predicted: str
    score: float
    thumbnail: str


class ReportData(Spec):
    """Everything that the page shows.

    evaluation: all numbers; cases: all mistakes. thumbnails: sha256 → a data: URI, of the cases
    that are shown as pictures.
    """

    run_id: str
    dataset: str
    deployment: str
    snapshot_id: str
    lineage: Lineage
    min_accuracy: float
    accuracy: float
    macro_f1: float
    test_samples: int
    classes: tuple[str, ...]
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    wrong: int
    bad_cases: tuple[BadCase, ...]
    champion: Champion
    etl: EtlReport
    etl_pictures: Pictures = Pictures(pictures=())
    evaluation: Evaluation | None = None
    cases: BadCases = BadCases(cases=())
    thumbnails: dict[str, str] = {}


class Cell(Spec):
    """One square of the confusion matrix; heat from 0 to HEAT_STEPS, the share of its row."""

    count: int
    heat: int
    right: bool
    title: str


def wilson_interval(hits: float, total: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, 1927)."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    spread = (
        z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    )
    return max(0.0, middle - spread), min(1.0, middle + spread)


def heat_map(classes: tuple[str, ...], confusion: tuple[tuple[int, ...], ...]) -> list[list[Cell]]:
    """Rows of cells; a count that is not 0 is never left without colour."""
    rows = []
    for i, counts in enumerate(confusion):
        total = sum(counts)
        rows.append(
            [
                Cell(
                    count=count,
                    heat=math.ceil(HEAT_STEPS * count / total) if count else 0,
                    right=i == j,
                    title=f"{classes[i]} → {classes[j]}: {count} of {total}",
                )
                for j, count in enumerate(counts)
            ]
        )
    return rows


def shorten(name: str) -> str:
    """A long name without its middle: files are told apart by how they begin and end."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 3]}…{name[-(LONGEST_NAME * 2 // 3 - 1) :]}"


def _read_template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def render_report(data: ReportData) -> str:
    """The page. Names come from strangers: every value is escaped."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_read_template),
    )
    environment.filters["shorten"] = shorten
    low, high = wilson_interval(data.accuracy * data.test_samples, data.test_samples)
    mistakes = None
    if len(data.classes) > MOST_IN_MATRIX:
        mistakes = list_confusions(data.classes, data.confusion)
    return environment.get_template(TEMPLATE).render(
        data=data,
        etl=data.etl,
        histogram=make_histogram(data.etl.counts),
        shown=choose_shown(data.etl),
        pictures={picture.sha256: picture for picture in data.etl_pictures.pictures},
        rows=[] if mistakes else heat_map(data.classes, data.confusion),
        mistakes=mistakes,
        weakest_rows=list_weakest(data.per_class) if len(data.per_class) > MOST_ROWS else (),
        numbered=len(data.classes) <= MAX_NUMBERED_CLASSES,
        low=low,
        high=high,
        weakest=min(
            (row for row in data.per_class if row.support), key=lambda row: row.f1, default=None
        ),
    )
