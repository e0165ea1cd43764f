"""Bars add up, and stay few."""

import pytest

from spark_jobs.report.histogram import ENDS, MOST_BARS, make_histogram
from spark_jobs.spec import Side


def make_counts(classes: int) -> dict[Side, dict[str, int]]:
    names = [f"class {i:04}" for i in range(classes)]
    return {
        "train": {name: 3 * (i + 1) for i, name in enumerate(names)},
        "val": dict.fromkeys(names, 1),
        "test": {},
    }


@pytest.mark.parametrize("classes", [2, 10, MOST_BARS])
def test_few_classes_all_have_a_bar_in_the_order_of_their_names(classes: int) -> None:
    found = make_histogram(make_counts(classes))
    assert [bar.label for bar in found.bars] == sorted(bar.label for bar in found.bars)
    assert (len(found.bars), found.hidden, found.rest, found.curve) == (classes, (), (), "")
    last = found.bars[-1]
    assert [part.count for part in last.parts] == [3 * classes, 1, 0]
    assert sum(part.width for part in last.parts) == pytest.approx(100, abs=0.02)
    assert last.parts[1].start == last.parts[0].width
    assert found.bars[0].total == 4


@pytest.mark.parametrize("classes", [MOST_BARS + 1, 60, 1000])
def test_of_many_classes_the_ends_are_shown_and_the_others_counted(classes: int) -> None:
    found = make_histogram(make_counts(classes))
    shown = [bar.total for bar in (*found.bars, *found.rest)]
    assert (len(found.bars), len(found.rest)) == (ENDS, ENDS)
    totals = [*shown[:ENDS], *found.hidden, *shown[ENDS:]]
    assert totals == [3 * i + 1 for i in range(classes, 0, -1)]
    pairs = [point.split(",") for point in found.curve.split()]
    points = [(float(x), float(y)) for x, y in pairs]
    assert (points[0], points[1], points[-1]) == ((0, 100), (0, 0), (100, 100))
    assert len(points) <= 202
    assert all(0 <= value <= 100 for point in points for value in point)


def test_a_class_without_samples_has_no_bar_to_divide_by() -> None:
    (bar,) = make_histogram({"train": {"a": 0}, "val": {}, "test": {}}).bars
    assert [part.width for part in bar.parts] == [0, 0, 0]
