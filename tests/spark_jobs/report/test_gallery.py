"""Which bad cases are shown, and the few numbers that the plots draw."""

import pytest

from serving.job.evaluation import CalibrationBin, Interval
from spark_jobs.report.charts import (
    draw_calibration,
    draw_search,
    draw_whisker,
    list_reserves,
    spread_ticks,
)
from spark_jobs.report.gallery import MOST_LINES, choose_cases, make_gallery
from tests.spark_jobs.report.example import make_example
from tests.spark_jobs.report.pages import make_case

AB = [make_case(number, "a", "b") for number in range(6)]
CA = make_case(100, "c", "a")
CASES = [*AB, CA]


def test_each_mix_up_is_shown_while_there_is_room() -> None:
    assert choose_cases(CASES, 3) == [AB[0], AB[1], CA]
    assert choose_cases(CASES, 1) == [AB[0]]
    assert choose_cases(CASES, 99) == CASES


def test_gallery() -> None:
    thumbnails = {AB[1].sha256: "data:,1", AB[4].sha256: "", CA.sha256: "data:,2"}
    gallery = make_gallery(CASES, ("a", "b", "c"), thumbnails)
    assert [(card.case, card.pair, card.anchor) for card in gallery.cards] == [
        (AB[1], (0, 1), "pair-0-1"),
        (AB[4], (0, 1), ""),
        (CA, (2, 0), "pair-2-0"),
    ]
    assert gallery.pairs == {(0, 1), (2, 0)}
    assert [(one.label, one.cards) for one in gallery.trues] == [("a", 2), ("c", 1)]
    assert [(one.label, one.cards) for one in gallery.calleds] == [("a", 1), ("b", 2)]
    assert gallery.lines == (AB[0], AB[2], AB[3], AB[5])
    more = [make_case(number, "a", "b") for number in range(MOST_LINES + 7)]
    assert make_gallery(more, ("a", "b"), {}).hidden == 7


BINS = tuple(
    CalibrationBin(low=low, high=low + 0.25, samples=n, mean_score=low + 0.2, accuracy=right)
    for low, n, right in ((0.0, 0, 0.0), (0.25, 10, 0.5), (0.5, 0, 0.0), (0.75, 30, 0.9))
)


def test_reserves() -> None:
    """10 answers with 5 wrong below 75 %, 30 with 3 wrong above."""
    every, sure = list_reserves(BINS)
    assert (every.above, every.answered, every.wrong) == (0.25, 1.0, 8)
    assert (sure.above, sure.answered, sure.wrong) == (0.75, 0.75, 3)
    assert (every.right, sure.right) == pytest.approx((0.8, 0.9))
    assert list_reserves(()) == ()


def test_calibration_leaves_empty_bins_out() -> None:
    low, high = draw_calibration(BINS)
    assert (low.x, low.width, low.top, low.height) == (75.0, 75.0, 90.0, 90.0)
    assert high.said == pytest.approx(180 * 0.05)


def test_whisker() -> None:
    whisker = draw_whisker(Interval(low=0.5, high=0.75), 0.6)
    assert (whisker.low, whisker.width, whisker.middle) == (50.0, 25.0, 60.0)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 23.1, [0, 5, 10, 15, 20, 25]),
        (0.83, 1.0, [0.8, 0.85, 0.9, 0.95, 1.0]),
        (1, 1, [1.0, 1.0000002]),
        (0, 0.4, [0, 0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    found, last = spread_ticks(low, high)
    assert found == pytest.approx(ticks, abs=1e-6)
    assert last == found[-1]


def test_search_front() -> None:
    search = make_example()[0].search
    assert search is not None
    drawn = draw_search(search)
    assert drawn is not None
    assert len(drawn.dots) == len(search.trials)
    assert drawn.dots[-1].kind == "chosen"
    assert sum(dot.kind != "" for dot in drawn.dots) == len(search.front)
    assert all(0 <= dot.x <= 300 and 0 <= dot.y <= 180 for dot in drawn.dots)
    accuracies = [trial.accuracy or 0.0 for trial in drawn.front]
    assert accuracies == sorted(accuracies, reverse=True)
    failed = tuple(trial.model_copy(update={"state": "failed"}) for trial in search.trials)
    assert draw_search(search.model_copy(update={"trials": failed})) is None
