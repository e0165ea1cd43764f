"""The report of pictures that may have several labels: its words, its bars, its bad cases."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from serving.job.evaluation import BadCase, Evaluation, MixUp
from spark_jobs.report.advice_several import find_loudest, say_how_good, say_what_next
from spark_jobs.report.charts import draw_calibration
from spark_jobs.report.data import ReportData, ReportPictures, write_schema
from spark_jobs.report.gallery import make_gallery
from spark_jobs.report.many_classes import MOST_ROWS
from spark_jobs.report.page import render_report
from spark_jobs.report.several import NOTHING, count_label, make_sets, view_labels
from tests.spark_jobs.report.pages import EVIL, Page, make_case
from tests.spark_jobs.report.several import (
    COUNTS,
    LABELS,
    THRESHOLDS,
    make_several,
    make_several_example,
)

PLACES = {label: place for place, label in enumerate(LABELS)}


def several(**changes: Any) -> Evaluation:
    """The example's numbers; by label, changes of a row."""
    found = make_several()
    rows = tuple(row.model_copy(update=changes.pop(row.label, {})) for row in found.per_class)
    return found.model_copy(update={"per_class": rows, **changes})


def read(data: ReportData) -> str:
    page = Page(render_report(data, make_several_example()[1]))
    return " ".join(page.text.split())


def test_how_good() -> None:
    assert say_how_good(make_several(), 0.7) == (
        "55 of 70 test pictures have every label right and none too much: 78.6\xa0%, which reaches "
        "the floor of 70.0\xa0%. Of all labels there are, it finds 88.0\xa0%; of those that it "
        "says, 88.0\xa0% are right. Weakest is “fray”: found in 12 of 21 pictures that have it."
    )
    alike = say_how_good(several(fray={"recall": 0.9}), 0.8)
    assert alike.endswith("88.0\xa0% are right.")
    assert "is below the floor of 80.0\xa0%" in alike


def test_a_label_that_is_missed_wants_pictures() -> None:
    asked: Any = COUNTS
    assert say_what_next(make_several(), (), asked) == (
        "Label “fray” is missed in 9 of 21 pictures that have it: add about 100 more; in 5 of "
        "these, “crack” is wrongly said."
    )
    assert "add about 100 more." in say_what_next(several(mix_ups=()), (), asked)
    none: Any = {**COUNTS, "train": {"crack": 160}}
    assert "it cannot be learned; import some" in say_what_next(make_several(), (), none)
    many: Any = {**COUNTS, "train": {**COUNTS["train"], "fray": 900}}
    assert "before you add any" in say_what_next(make_several(), (), many)


def test_a_label_that_is_said_too_often_wants_pictures_without_it() -> None:
    asked: Any = COUNTS
    loud = several(crack={"precision": 0.55, "predicted": 40})
    found = find_loudest(loud)
    assert found is not None
    assert found.label == "crack"
    assert say_what_next(loud, (), asked) == (
        "Label “crack” is wrong in 18 of 40 pictures that are said to have it: look through "
        "these, and add pictures without it that look like them."
    )


@pytest.mark.parametrize(
    ("mix_up", "told"),
    [
        (MixUp(label="a", predicted="b", samples=9), "“a” is missed and “b” said instead"),
        (MixUp(label="a", predicted="", samples=9), "“a” is missed and nothing else is said"),
        (MixUp(label="", predicted="b", samples=9), "“b” is said too much"),
        (MixUp(label="a", predicted="b", samples=1), "look through the wrong answers"),
    ],
)
def test_no_label_stands_out(mix_up: MixUp, told: str) -> None:
    asked: Any = COUNTS
    even = several(fray={"recall": 0.9}, mix_ups=(mix_up,))
    text = say_what_next(even, (), asked)
    assert text.startswith("No label stands out")
    assert told in text
    assert say_what_next(several(accuracy=1.0), (), asked).startswith("No mistake is left")


def test_counts_come_out_of_the_shares() -> None:
    counts = {row.label: count_label(row) for row in make_several().per_class}
    assert (counts["fray"].found, counts["fray"].missed, counts["fray"].wrongly) == (12, 9, 1)
    assert (counts["moss"].found, counts["moss"].missed, counts["moss"].wrongly) == (1, 0, 1)


CASE = BadCase(
    sha256="0" * 64,
    name="n",
    label="fray|knot",
    predicted="crack|knot",
    scores=(("crack", 0.71), ("knot", 0.68), ("moss", 0.3), ("fray", 0.2), ("stain", 0.1)),
)


def test_a_bad_case_tells_what_was_missed_and_what_was_too_much() -> None:
    sets = make_sets(CASE, PLACES, THRESHOLDS)
    assert (sets.missed, sets.extra) == (("fray",), ("crack",))
    assert [(one.label, one.threshold) for one in sets.scores] == [
        ("crack", 0.41),
        ("knot", 0.38),
        ("fray", 0.55),
    ]
    assert sets.place(sets.true) == (1, 2)
    quiet = make_sets(CASE.model_copy(update={"predicted": ""}), PLACES, THRESHOLDS)
    assert (quiet.said, quiet.extra, quiet.place(quiet.extra)) == ((), (), (NOTHING,))
    assert [one.label for one in quiet.scores] == ["crack", "knot", "fray"]
    torn = CASE.model_copy(update={"predicted": "(unreadable)", "scores": ()})
    assert make_sets(torn, PLACES, THRESHOLDS).extra == ()


def test_filters_count_members() -> None:
    quiet = CASE.model_copy(update={"sha256": "1" * 64, "label": "fray", "predicted": ""})
    thumbnails = {CASE.sha256: "data:,1", quiet.sha256: "data:,2"}
    gallery = make_gallery([CASE, quiet], LABELS, thumbnails, THRESHOLDS)
    assert [(one.label, one.cards) for one in gallery.trues] == [("fray", 2), ("knot", 1)]
    assert [(one.label, one.cards) for one in gallery.misses] == [("fray", 2)]
    assert [(one.place, one.cards) for one in gallery.extras] == [(NOTHING, 1), (0, 1)]
    assert [card.anchor for card in gallery.cards] == ["case-0", "case-1"]


def test_bars_and_mix_ups_lead_to_their_pictures() -> None:
    found = make_several()
    gallery = make_gallery([CASE], LABELS, {CASE.sha256: ""}, THRESHOLDS)
    cards = [(card.anchor, card.sets) for card in gallery.cards if card.sets]
    view = view_labels(found.per_class, found.mix_ups, gallery.places, cards)
    anchors = {bar.count.label: (bar.missed_anchor, bar.wrongly_anchor) for bar in view.bars}
    assert anchors["fray"] == ("case-0", "")
    assert anchors["crack"] == ("", "case-0")
    assert anchors["knot"] == ("", "")
    first, second = view.mix_ups[:2]
    assert (first.mix_up.label, first.mix_up.predicted, first.anchor) == ("fray", "crack", "case-0")
    assert (second.mix_up.predicted, second.extra, second.anchor) == ("", NOTHING, "")
    longest = max(view.bars, key=lambda bar: bar.count.all)
    assert longest.found + longest.missed + longest.wrongly == pytest.approx(100, abs=0.1)


def test_the_page() -> None:
    data = make_several_example()[0]
    text = read(data)
    for told in (
        "All labels right78.6 %subset accuracy;",
        "5 labels, of which a picture may have several",
        "fray1291",
        "Is✗ fray missed✓ knot found Said+ crack too much✓ knot right",
        "Saidnone",
        "42 %, said from 55 %",
        "(Hamming loss)0.063",
        "Of labels with a score of 80",
        "only this model is right on 18",
    ):
        assert told in text, told
    for wrong in ("taken for", "none of these", "None of these", "What if only sure", "a|b"):
        assert wrong not in text, wrong
    assert "crack|fray" not in text
    assert draw_calibration(data.evaluation.calibration, several=True)[0].title == (
        "214 labels with a score of 4 % on average: 2 % there"
    )


def test_names_are_text_and_many_labels_stay_readable() -> None:
    data, pictures = make_several_example()
    names = (EVIL, *(f"label {number:03}" for number in range(MOST_ROWS)))
    row = data.evaluation.per_class[1]
    found = data.evaluation.model_copy(
        update={
            "classes": names,
            "per_class": tuple(row.model_copy(update={"label": name}) for name in names),
            "mix_ups": (MixUp(label=EVIL, predicted=names[1], samples=2),),
        }
    )
    case = make_case(1, EVIL, f"{names[1]}|{names[2]}")
    shown = data.model_copy(update={"evaluation": found, "cases": (case,)})
    page = Page(
        render_report(shown, pictures.model_copy(update={"thumbnails": {case.sha256: "data:,"}}))
    )
    assert EVIL in page.text
    assert ("onerror", "alert(1)") not in page.attributes
    assert "The 25 weakest of 61" in page.text
    assert ("href", "#case-0") in page.attributes
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for name, value in page.attributes if name == "href"} <= {f"#{i}" for i in ids}


def test_no_mistake_and_no_picture() -> None:
    data = make_several_example()[0]
    found = data.evaluation.model_copy(update={"accuracy": 1.0, "mix_ups": ()})
    text = read(data.model_copy(update={"evaluation": found, "cases": ()}))
    assert "every test picture got all its labels, and none too much" in text
    assert "No label was missed, and none was wrongly said" in text


def test_the_json_fits_its_schema() -> None:
    good = json.loads(make_several_example()[0].model_dump_json())
    assert not list(Draft202012Validator(json.loads(write_schema())).iter_errors(good))
    assert good["evaluation"]["task"] == "image_multilabel"


def test_lines_without_pictures_show_no_score() -> None:
    """The highest one often is of a label that was right."""
    text = render_report(make_several_example()[0], ReportPictures())
    lines = text.partition("more, without pictures")[2].partition("</details>")[0]
    assert "Was called" in lines
    assert "Score" not in lines
    assert "%" not in lines


def test_the_search_says_what_its_accuracy_is() -> None:
    told = read(make_several_example()[0])
    assert "all labels right and none too much, each label said from a probability of 0.5" in told
