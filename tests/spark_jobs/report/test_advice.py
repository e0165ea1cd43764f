"""The first three lines say what the numbers say, to people who never saw a recall."""

from typing import Any

import pytest

from serving.job.evaluation import BadCase, Evaluation, Neighbour
from spark_jobs.report.advice import (
    count_doubtful,
    find_weakest,
    say_how_good,
    say_how_sure,
    say_what_next,
    suggest_pictures,
)
from spark_jobs.report.summary import summarise
from tests.spark_jobs.report.pages import make_case, make_etl, make_evaluation
from tests.spark_jobs.tiny import CLASSES

BOARDS = ("crack", "fray", "sound")
# 14 of 36 frays are missed, 9 of these taken for a crack.
PAIRS = {
    ("crack", "crack"): 58,
    ("crack", "sound"): 2,
    ("fray", "fray"): 22,
    ("fray", "crack"): 9,
    ("fray", "sound"): 5,
    ("sound", "sound"): 100,
}
COUNTS: Any = {
    "train": {"crack": 200, "fray": 22, "sound": 300},
    "test": {"crack": 60, "fray": 10, "sound": 100},
}


def boards(**changes: Any) -> Evaluation:
    return make_evaluation(PAIRS, BOARDS).model_copy(update=changes)


def near(label: str) -> Neighbour:
    return Neighbour(sha256="0" * 64, name="n", label=label, similarity=0.9)


def test_how_good() -> None:
    assert say_how_good(boards(), 0.8) == (
        "180 of 196 test pictures are named right: 91.8\xa0%, which reaches the floor of "
        "80.0\xa0%. Of “fray” it finds 61.1\xa0%, of every other class at least 96.7\xa0%."
    )
    alike = make_evaluation(
        {("a", "a"): 9, ("a", "b"): 1, ("b", "b"): 9, ("b", "a"): 1}, ("a", "b")
    )
    assert say_how_good(alike, 0.95) == (
        "18 of 20 test pictures are named right: 90.0\xa0%, which is below the floor of 95.0\xa0%."
    )
    one = make_evaluation({("a", "a"): 1}, ("a", "b"))
    assert say_how_good(one, 0).startswith("1 of 1 test picture is named right")


def test_how_sure() -> None:
    etl = make_etl(CLASSES).model_copy(update={"sides": None})
    text = say_how_sure(boards(tellable=0.071), etl)
    assert text == (
        "On new pictures like these, expect 87.2 to 94.9\xa0% (95\xa0% sure). Another model must "
        "be about 7.1 points better or worse before these pictures show it."
    )
    warned = say_how_sure(boards(warning="Too few: 400 would do."), etl)
    assert warned.endswith("sure). Too few: 400 would do.")
    assert "Less, rather: 1 group of near-duplicates" in say_how_sure(boards(), make_etl(CLASSES))


def test_a_weak_class_wants_pictures() -> None:
    assert say_what_next(boards(), (), COUNTS) == (
        "Class “fray” has 32 pictures and a recall of 0.61: add about 60 more; 9 of its 14 "
        "mistakes are “fray” taken for “crack”."
    )


def test_a_large_class_wants_a_look() -> None:
    many: Any = {"train": {"crack": 200, "fray": 900, "sound": 300}}
    assert "it has more than most, so look at its mistakes" in say_what_next(boards(), (), many)
    none: Any = {"train": {"crack": 200, "sound": 300}, "test": {"fray": 36}}
    assert "none of them is on the train side" in say_what_next(boards(), (), none)


@pytest.mark.parametrize(
    ("has", "recall", "elsewhere", "more"),
    [
        # Four times the errors of the rest: three times the pictures, the most of one round.
        (32, 0.6, 0.1, 60),
        (30, 0.6, 0.0, 60),
        # 1.5 times the errors: 2.25 times the pictures.
        (40, 0.7, 0.2, 50),
        # No worse than the rest: half as many again.
        (600, 0.8, 0.2, 300),
        (3, 0.8, 0.2, 5),
    ],
)
def test_how_many_pictures(has: int, recall: float, elsewhere: float, more: int) -> None:
    missed, others = round(100 * (1 - recall)), round(100 * elsewhere)
    pairs = {("a", "a"): 100 - missed, ("a", "b"): missed}
    pairs |= {("b", "b"): 100 - others, ("b", "a"): others}
    found = make_evaluation(pairs, ("a", "b"))
    assert suggest_pictures(has, found.per_class[0], found) == more


def test_the_weakest_is_surely_weak() -> None:
    """One test picture, and that one wrong, is no reason yet."""
    pairs = {**PAIRS, ("rare", "sound"): 1}
    weakest = find_weakest(make_evaluation(pairs, (*BOARDS, "rare")))
    assert weakest is not None
    assert weakest.label == "fray"
    assert find_weakest(make_evaluation({}, BOARDS)) is None


def test_no_class_stands_out() -> None:
    pairs = {(name, name): 20 for name in BOARDS}
    mixed = make_evaluation({**pairs, ("crack", "fray"): 2, ("fray", "crack"): 1}, BOARDS)
    assert say_what_next(mixed, (), COUNTS) == (
        "No class stands out. 3 of 3 mistakes are between “crack” and “fray”: add pictures that "
        "show how these two differ."
    )
    single = make_evaluation({**pairs, ("crack", "fray"): 1}, BOARDS)
    assert "look through the wrong answers" in say_what_next(single, (), COUNTS)
    assert say_what_next(make_evaluation(pairs, BOARDS), (), COUNTS).startswith("No mistake")


def doubtful(*labels: str) -> BadCase:
    return make_case(1, "fray", "crack", neighbours=tuple(map(near, labels)))


def test_doubtful_labels_come_first() -> None:
    assert count_doubtful([doubtful("crack"), doubtful("crack", "fray"), doubtful()]) == 0
    cases = [doubtful("crack", "crack")] * 4
    text = say_what_next(boards(), cases, COUNTS)
    assert text.startswith("Check labels first: 4 of 16 wrong answers look like the class")
    assert "Class “fray” has 32 pictures" in text
    # Few among many are no headline.
    assert say_what_next(boards(), cases[:3], COUNTS).startswith("Class “fray”")


def test_an_empty_test_side() -> None:
    summary = summarise(make_evaluation({}, BOARDS), (), make_etl(CLASSES), 0.8)
    assert summary.good == "Nothing was tested: the test side is empty."
    assert "Import pictures" in summary.next
