"""The threshold is the val side's, what it does is told of the test side."""

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.metrics.declining import choose_surely, choose_threshold, measure_declining
from spark_jobs.session import make_frame

NAMES = ("a", "b")


def to_frame(spark: SparkSession, scores: list[float | None], right: list[bool]) -> DataFrame:
    """None: a picture that could not be read."""
    columns = {
        "label": pa.array(["a"] * len(scores)),
        "predicted": pa.array(["a" if one else "b" for one in right]),
        "scores": pa.array(
            [None if one is None else [one, 0.0] for one in scores], pa.list_(pa.float32())
        ),
    }
    return make_frame(spark, pa.table(columns))


def test_nineteen_of_twenty_are_accepted(spark: SparkSession) -> None:
    val = to_frame(spark, [number / 20 for number in range(1, 21)], [True] * 20)
    threshold = choose_threshold(val, NAMES)
    # Between the lowest two, as numpy.quantile has it.
    assert threshold == pytest.approx(0.0975)
    test = to_frame(spark, [0.02, 0.05, 0.5, 0.9, None], [False, True, False, True, False])
    found = measure_declining(test, NAMES, threshold or 0)
    assert (found.declined, found.declined_wrong) == (2 / 5, 1 / 5)
    assert choose_threshold(val.where("false"), NAMES) is None


@pytest.mark.parametrize(
    ("count", "place"),
    # 0.95 ** 58 is above 0.05, 0.95 ** 59 is not; of 93 the second lowest is as sure.
    [(58, None), (59, 1), (92, 1), (93, 2)],
)
def test_few_samples_are_asked_for_what_is_sure(
    spark: SparkSession, count: int, place: int | None
) -> None:
    scores = [number / 100 for number in range(1, count + 1)]
    known = to_frame(spark, [None, *reversed(scores)], [True] * (count + 1)).drop("predicted")
    found = choose_surely(known, NAMES)
    assert found == (None if place is None else pytest.approx(scores[place - 1]))
