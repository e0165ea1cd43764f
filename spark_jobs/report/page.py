"""The report of an evaluation: one HTML page that needs nothing beside itself."""

import math
import re
from importlib import resources
from typing import Any

from serving.bundle.manifest import SEVERAL
from serving.job.evaluation import ClassScore, Interval
from spark_jobs.metrics.sureness import find_wilson_interval
from spark_jobs.report.advice import find_weakest, percent
from spark_jobs.report.charts import (
    HEIGHT,
    WIDTH,
    describe_recipe,
    draw_calibration,
    draw_search,
    draw_whisker,
    list_reserves,
    say_repeats,
)
from spark_jobs.report.curves import draw_curves
from spark_jobs.report.data import ReportData, ReportPictures
from spark_jobs.report.duel import say_reference, say_who_is_better
from spark_jobs.report.gallery import Gallery, make_gallery
from spark_jobs.report.histogram import make_histogram
from spark_jobs.report.many_classes import (
    MOST_IN_MATRIX,
    MOST_ROWS,
    list_confusions,
    list_weakest,
)
from spark_jobs.report.matrix import MAX_NUMBERED_CLASSES, heat_map
from spark_jobs.report.several import LabelView, list_labels, view_labels
from spark_jobs.report.strips import choose_shown

TEMPLATE = "report.html"
LONGEST_NAME = 48


def shorten(name: str) -> str:
    """A long name without its middle: files are told apart by how they begin and end."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 3]}…{name[-(LONGEST_NAME * 2 // 3 - 1) :]}"


def number(value: float | None) -> str:
    """Three digits behind the point; a dash where there is nothing to tell."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _read_template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _read_own(name: str) -> Any:
    """Style or script of ours, which is not escaped."""
    from markupsafe import Markup

    return Markup(_read_template(name))  # noqa: S704


def _mark_names(sentence: str) -> Any:
    """“name” → an element of its own: a name may be written from right to left, or be markup."""
    from markupsafe import Markup, escape

    marked = re.sub("“([^”]*)”", r"<bdi class=name>\1</bdi>", str(escape(sentence)))
    return Markup(marked)  # noqa: S704  (escaped above)


def _open_environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_read_template),
    )
    filters = {
        "shorten": shorten,
        "percent": percent,
        "number": number,
        "mark_names": _mark_names,
        "recipe": describe_recipe,
        "whisker": draw_whisker,
        "interval": _recall_interval,
        "labels": list_labels,
        "repeats": say_repeats,
    }
    environment.filters.update(filters)
    return environment


def _recall_interval(row: ClassScore) -> Interval:
    return find_wilson_interval(row.recall * row.support, row.support)


def _view_labels(data: ReportData, gallery: Gallery) -> LabelView:
    """The weakest labels only, where they are many."""
    rows = data.evaluation.per_class
    shown = list_weakest(rows) if len(rows) > MOST_ROWS else rows
    cards = [(card.anchor, card.sets) for card in gallery.cards if card.sets is not None]
    return view_labels(shown, data.evaluation.mix_ups, gallery.places, cards)


def render_report(data: ReportData, pictures: ReportPictures) -> str:
    """The page. Names come from strangers: every value is escaped."""
    found = data.evaluation
    several = found.task == SEVERAL
    mistakes = None
    if len(found.classes) > MOST_IN_MATRIX and not several:
        mistakes = list_confusions(found.classes, found.confusion)
    thresholds = {row.label: row.threshold for row in found.per_class} if several else None
    gallery = make_gallery(data.cases, found.classes, pictures.thumbnails, thresholds)
    matrix = not (mistakes or several)
    paired = data.champion.paired
    html: str = (
        _open_environment()
        .get_template(TEMPLATE)
        .render(
            data=data,
            style=_read_own("style.css"),
            script=_read_own("script.js"),
            found=found,
            several=_view_labels(data, gallery) if several else None,
            etl=data.etl,
            histogram=make_histogram(data.etl.counts),
            shown=choose_shown(data.etl),
            pictures={picture.sha256: picture for picture in pictures.etl.pictures},
            gallery=gallery,
            rows=heat_map(found.classes, found.confusion, gallery.pairs) if matrix else [],
            mistakes=mistakes,
            places={label: place for place, label in enumerate(found.classes)},
            weakest_rows=list_weakest(found.per_class) if len(found.per_class) > MOST_ROWS else (),
            numbered=len(found.classes) <= MAX_NUMBERED_CLASSES,
            weakest=find_weakest(found),
            duel=say_who_is_better(paired) if paired else "",
            held_to=say_reference(data.reference),
            curves=draw_curves(found.per_class),
            bins=draw_calibration(found.calibration, several=several),
            reserves=() if several else list_reserves(found.calibration),
            scatter=draw_search(data.search) if data.search else None,
            plot=(WIDTH, HEIGHT),
        )
    )
    return html
