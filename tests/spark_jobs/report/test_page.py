"""The report stands alone, shows any name as text, and holds no script but its own."""

import json
import re

import pytest
from jsonschema_rs import Draft202012Validator

from serving.job.evaluation import (
    ClassScore,
    Curve,
    Declining,
    LeftOutClass,
    Paired,
    Unknown,
)
from spark_jobs.report.charts import HEIGHT, WIDTH
from spark_jobs.report.curves import draw_curves
from spark_jobs.report.data import ReportData, ReportPictures, write_schema
from spark_jobs.report.many_classes import list_confusions, list_weakest
from spark_jobs.report.matrix import heat_map
from spark_jobs.report.page import render_report
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.spec import Champion
from tests.spark_jobs.report.pages import (
    EVIL,
    Page,
    make_case,
    make_data,
    make_evaluation,
    render,
)
from tests.spark_jobs.tiny import CLASSES, make_picture


def many(count: int) -> tuple[str, ...]:
    return (*CLASSES, EVIL, *(f"class {i}" for i in range(60)))[:count]


@pytest.mark.parametrize("count", [2, 4, 10, 50])
def test_stands_alone(count: int) -> None:
    text = render(make_data(many(count)))
    page = Page(text)
    assert page.tags.count("style") == page.tags.count("script") == 1
    # Before any name of a stranger's: the console lets run what stands there.
    assert page.tags.index("script") == 3
    assert page.tags.count("td") >= count * count
    assert not {"link", "iframe", "object", "b onerror"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    sources = [value or "" for name, value in page.attributes if name == "src"]
    assert sources
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for name, value in page.attributes if name == "href"} <= {f"#{i}" for i in ids}
    assert not re.search(r"url\(|@import|https?://", text)


def test_a_thousand_classes_stay_readable() -> None:
    """No matrix, the commonest mistakes and the weakest classes, the whole table on demand."""
    classes = tuple(f"{EVIL} {number:04}" for number in range(1000))
    pairs = {(name, name): 8 for name in classes}
    pairs |= {(classes[i], classes[i + 1]): 1 + i % 7 for i in range(0, 998, 2)}
    pairs[classes[10], classes[500]] = 9
    few = make_data(wrong=0)
    cases = (make_case(1, classes[10], classes[500]),)
    found = make_evaluation(pairs, classes)
    text = render(few.model_copy(update={"evaluation": found, "cases": cases}))
    assert len(text) < len(render(few)) + 600_000
    page = Page(text)
    assert page.tags.count("tr") < 1250
    assert "The commonest of the 500 mix-ups" in page.text
    # The first row: 9 of 21 pictures of one class.
    first = page.text[page.text.index("Was called") :]
    assert first.index(classes[500]) < first.index("42.9")
    assert "The 25 weakest" in page.text
    assert "All 1000 classes" in page.text
    assert ("href", "#pair-10-500") in page.attributes
    assert page.tags.count("script") == 1
    assert ("onerror", "alert(1)") not in page.attributes


def test_no_mistake_among_many_classes() -> None:
    classes = tuple(f"class {number}" for number in range(60))
    found = make_evaluation({(name, name): 2 for name in classes}, classes)
    shown = list_confusions(found.classes, found.confusion)
    assert (shown.shown, shown.pairs) == ((), 0)
    assert len(list_weakest(found.per_class)) == 25


def test_names_are_text() -> None:
    page = Page(render(make_data(many(4))))
    for name in (*CLASSES, EVIL):
        assert name in page.text
    assert "img" in page.tags
    assert ("onerror", "alert(1)") not in page.attributes


@pytest.mark.parametrize(
    ("champion", "told"),
    [
        (Champion(generation=0), "no champion to compare with"),
        (Champion(generation=2, version=1), "could not be read"),
        (Champion(generation=2, version=1, note="It gives one label."), "scored. It gives one"),
        (Champion(generation=2, version=7, accuracy=0.5, macro_f1=0.25), "Version 7, in service"),
        (
            Champion(
                generation=2,
                version=7,
                accuracy=0.5,
                macro_f1=0.25,
                paired=Paired(both=13, challenger_only=14, champion_only=1, neither=0),
            ),
            "only this model is right on 14, and only the one in service on 1",
        ),
    ],
)
def test_champion(champion: Champion, told: str) -> None:
    assert told in Page(render(make_data(champion=champion))).text


def test_numbers_and_lineage() -> None:
    text = Page(render(make_data().model_copy(update={"seed": 4711}))).text
    for told in ("96.4\xa0%", "20260102T030405-abcdef", "0123456789abcdef0123", "tiny", "4711"):
        assert told in text
    assert "None: every test picture" in Page(render(make_data(wrong=0))).text


def test_curves_of_the_weakest_classes_are_drawn() -> None:
    corner = Curve(
        false_positive_rate=(0.0, 0.0, 1.0), recall=(0.0, 0.5, 1.0), precision=(1.0, 1.0, 0.25)
    )
    rows = [
        ClassScore(
            label=f"class {i}",
            precision=0.5,
            recall=0.5,
            f1=0.5,
            support=4,
            predicted=4,
            average_precision=0.9 - i / 20,
            curve=corner if i != 3 else None,
        )
        for i in range(9)
    ]
    found = draw_curves(rows)
    assert [one.label for one in found.shown] == [f"class {i}" for i in (8, 7, 6, 5, 4, 2)]
    assert found.classes == 8
    assert found.shown[0].roc == f"M0 {HEIGHT:g}L0 {HEIGHT / 2:g}L{WIDTH:g} 0"
    assert found.shown[0].precision_recall == f"M0 0L{WIDTH / 2:g} 0L{WIDTH:g} {HEIGHT * 3 / 4:g}"
    data = make_data()
    drawn = data.evaluation.model_copy(update={"per_class": tuple(rows)})
    text = render(data.model_copy(update={"evaluation": drawn}))
    assert text.count('class="curve c1"') == 3
    assert 'class="curve' not in render(data)


@pytest.mark.parametrize("unreached", [False, True])
def test_thresholds_say_what_they_were_chosen_for(unreached: bool) -> None:
    data = make_data()
    first, *others = data.evaluation.per_class
    chosen = {"threshold": None if unreached else 0.5, "threshold_unreached": unreached}
    rows = (first.model_copy(update=chosen), *others)
    texts = []
    for wanted in (0.0, 0.95):
        found = data.evaluation.model_copy(update={"min_precision": wanted, "per_class": rows})
        page = Page(render(data.model_copy(update={"evaluation": found})))
        texts.append(" ".join(page.text.split()))
    assert "for the best F1 on the val side" in texts[0]
    assert "at least 95.0 % of what is called it is right" in texts[1]
    folds = data.evaluation.model_copy(update={"chosen_on": "folds", "per_class": rows})
    text = render(data.model_copy(update={"evaluation": folds}))
    assert "each by a model that has not learned from it" in text
    assert "fewer than 59 pictures" in text
    told = f"no score of {first.label} is so precise: there is no threshold"
    assert (told in texts[1]) is unreached


def test_it_says_how_well_unknown_things_would_be_declined() -> None:
    data = make_data()
    declining = Declining(kind="k", threshold=0.6, declined=0.05, declined_wrong=0.03)
    low = LeftOutClass(label=EVIL, samples=9, roc_auc=0.75, declined=0.25)
    high = LeftOutClass(label="b", samples=9, roc_auc=0.95, declined=0.65)
    texts = []
    for unknown in (None, Unknown(by_class=(low, high))):
        known = declining.model_copy(update={"unknown": unknown})
        found = data.evaluation.model_copy(update={"declining": known})
        page = Page(render(data.model_copy(update={"evaluation": found})))
        texts.append(" ".join(page.text.split()))
    assert "AUROC" not in texts[0]
    for told in (
        "about 45.0 % of that class's pictures are declined",
        "with an AUROC of 0.850",
        f"Worst with {EVIL}: 25.0 %, AUROC 0.750",
    ):
        assert told in texts[1]


def test_heat_map_shows_every_count() -> None:
    ((right, wrong), empty) = heat_map(("a", "b"), ((999, 1), (0, 0)), shown={(0, 1)})
    assert (right.heat, wrong.heat) == (10, 1)
    assert [cell.heat for cell in empty] == [0, 0]
    assert (right.anchor, wrong.anchor) == ("", "pair-0-1")
    assert wrong.title == "a taken for b: 1 of 1000 (0 %)"


def test_ten_thousand_bad_cases_stay_below_ten_megabytes() -> None:
    """The worst are shown, whatever their pictures weigh; all of them are in the JSON."""
    data = make_data(many(4), wrong=10_000)
    # What a thumbnail of noise weighs: the worst that a JPEG meets.
    heavy = "data:image/jpeg;base64," + "A" * 40_000
    pictures = ReportPictures(thumbnails={case.sha256: heavy for case in data.cases})
    text = render_report(data, pictures)
    assert 5_000_000 < len(text.encode()) < 10_000_000
    page = Page(text)
    assert page.tags.count("img") > 100
    assert f"{page.tags.count('img')} of 10000 wrong answers" in " ".join(page.text.split())
    again = ReportData.model_validate_json(data.model_dump_json())
    assert len(again.cases) == 10_000
    assert again == data


def test_the_json_fits_its_schema() -> None:
    schema = json.loads(write_schema())
    validator = Draft202012Validator(schema)
    good = json.loads(make_data().model_dump_json())
    assert not list(validator.iter_errors(good))
    assert list(validator.iter_errors({**good, "cases": [{"name": 3}]}))


def test_thumbnails() -> None:
    assert make_thumbnail(b"no picture", 96) == ""
    assert make_thumbnail(make_picture(0, 0), 96).startswith("data:image/jpeg;base64,")


def test_the_command_that_opens_the_bad_cases_is_there_where_there_are_any() -> None:
    data = make_data()
    told = f"./modelmill review --dataset {data.dataset}"
    assert told in Page(render(data)).text
    assert told not in Page(render(make_data(wrong=0))).text
