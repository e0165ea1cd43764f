"""The report of an evaluation: one HTML page that needs nothing beside itself."""

import base64
import io
import math
from importlib import resources

from PIL import Image

from serving.bundle import codec
from serving.bundle.manifest import Lineage
from serving.job.spec import Spec
from spark_jobs.report_models import EtlReport
from spark_jobs.spec import Champion, ClassMetrics

TEMPLATE = "report.html"
THUMBNAIL_SIDE = 320
# Beyond so many classes the matrix shows colours only; each cell tells its number when pointed at.
MAX_NUMBERED_CLASSES = 15
HEAT_STEPS = 10
# Of each kind of finding in the data, so many are named; etl_report.json has more.
SHOWN_FINDINGS = 5


class BadCase(Spec):
    """A wrongly classified picture; thumbnail is a data: URI, or empty."""

    name: str
    label: str
    predicted: str
    score: float
    thumbnail: str


class ReportData(Spec):
    """Everything that the page shows."""

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


class Cell(Spec):
    """One square of the confusion matrix; heat from 0 to HEAT_STEPS, the share of its row."""

    count: int
    heat: int
    right: bool
    title: str


def make_thumbnail(content: bytes) -> str:
    """A small JPEG as a data: URI; empty where the bytes are no picture."""
    try:
        image = Image.fromarray(codec.decode(content, min_side=THUMBNAIL_SIDE))
    except codec.BadImageError:
        return ""
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


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
    sides = data.etl.counts.values()
    class_counts = {name: [by.get(name, 0) for by in sides] for name in data.classes}
    low, high = wilson_interval(data.accuracy * data.test_samples, data.test_samples)
    return environment.get_template(TEMPLATE).render(
        data=data,
        etl=data.etl,
        class_counts=class_counts,
        largest=max(1, *map(sum, class_counts.values())),
        shown=SHOWN_FINDINGS,
        rows=heat_map(data.classes, data.confusion),
        numbered=len(data.classes) <= MAX_NUMBERED_CLASSES,
        low=low,
        high=high,
        weakest=min(
            (row for row in data.per_class if row.support), key=lambda row: row.f1, default=None
        ),
    )
