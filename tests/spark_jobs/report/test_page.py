"""The report stands alone, shows any name as text, and needs no scripts or inline styles."""

import re

import pytest

from spark_jobs.metrics.classification import compute_metrics
from spark_jobs.report.many_classes import list_confusions, list_weakest
from spark_jobs.report.page import heat_map, render_report, wilson_interval
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.spec import Champion
from tests.spark_jobs.report.pages import EVIL, Page, make_data
from tests.spark_jobs.tiny import CLASSES, make_picture


def many(count: int) -> tuple[str, ...]:
    return (*CLASSES, EVIL, *(f"class {i}" for i in range(60)))[:count]


@pytest.mark.parametrize("count", [2, 4, 10, 50])
def test_stands_alone(count: int) -> None:
    text = render_report(make_data(many(count)))
    page = Page(text)
    assert page.tags.count("style") == 1
    assert page.tags.count("td") >= count * count
    assert not {"script", "link", "iframe", "object", "form", "b onerror"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    links = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert links
    assert all(value.startswith("data:image/jpeg;base64,") for value in links)
    assert not re.search(r"url\(|@import|https?://", text)


def test_a_thousand_classes_stay_readable() -> None:
    """No matrix, the commonest mistakes and the weakest classes, the whole table on demand."""
    classes = tuple(f"{EVIL} {number:04}" for number in range(1000))
    pairs = {(name, name): 8 for name in classes}
    pairs |= {(classes[i], classes[i + 1]): 1 + i % 7 for i in range(0, 998, 2)}
    pairs[classes[10], classes[500]] = 9
    metrics = compute_metrics(pairs, classes)
    few = make_data(wrong=0)
    text = render_report(
        few.model_copy(
            update={
                "classes": metrics.classes,
                "confusion": metrics.confusion,
                "per_class": metrics.per_class,
            }
        )
    )
    assert len(text) < len(render_report(few)) + 600_000
    page = Page(text)
    assert page.tags.count("tr") < 1200
    assert page.tags.count("details") == 1
    assert "The commonest of the 500 mix-ups" in page.text
    # The first row: 9 of 21 pictures of one class.
    first = page.text[page.text.index("Was called") :]
    assert first.index(classes[500]) < first.index("42.9")
    assert "The 25 weakest" in page.text
    assert "All 1000 classes" in page.text
    assert not {"script", "form"} & set(page.tags)
    assert ("onerror", "alert(1)") not in page.attributes


def test_no_mistake_among_many_classes() -> None:
    classes = tuple(f"class {number}" for number in range(60))
    pairs = {(name, name): 2 for name in classes}
    metrics = compute_metrics(pairs, classes)
    shown = list_confusions(metrics.classes, metrics.confusion)
    assert (shown.shown, shown.pairs) == ((), 0)
    assert len(list_weakest(metrics.per_class)) == 25


def test_names_are_text() -> None:
    page = Page(render_report(make_data(many(4))))
    for name in (*CLASSES, EVIL):
        assert name in page.text
    assert "img" in page.tags
    assert ("onerror", "alert(1)") not in page.attributes


@pytest.mark.parametrize(
    ("champion", "told"),
    [
        (Champion(generation=0), "no champion to compare with"),
        (Champion(generation=2, version=1), "could not be read"),
        (Champion(generation=2, version=7, accuracy=0.5, macro_f1=0.25), "Version 7, in service"),
    ],
)
def test_champion(champion: Champion, told: str) -> None:
    assert told in Page(render_report(make_data(champion=champion))).text


def test_numbers_and_lineage() -> None:
    text = Page(render_report(make_data())).text
    for told in ("96.4\xa0%", "20260102T030405-abcdef", "0123456789abcdef0123", "tiny", "c0de"):
        assert told in text
    assert "None: every test picture" in Page(render_report(make_data(wrong=0))).text


def test_heat_map_shows_every_count() -> None:
    ((right, wrong), empty) = heat_map(("a", "b"), ((999, 1), (0, 0)))
    assert (right.heat, wrong.heat) == (10, 1)
    assert [cell.heat for cell in empty] == [0, 0]


def test_thumbnails() -> None:
    assert make_thumbnail(b"no picture", 96) == ""
    assert make_thumbnail(make_picture(0, 0), 96).startswith("data:image/jpeg;base64,")


def test_interval() -> None:
    # statsmodels.stats.proportion.proportion_confint(145, 153, method="wilson")
    low, high = wilson_interval(145, 153)
    assert (round(low, 3), round(high, 3)) == (0.9, 0.973)
    assert wilson_interval(0, 0) == (0.0, 1.0)
