"""Likely label errors: planted ones are found first, and nothing where all is well."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from serving.bundle.labels import write_labels
from serving.bundle.manifest import SEVERAL
from spark_jobs.session import make_frame
from spark_jobs.suspects import doubt_labels, find_suspects

CLASSES = ("a", "b", "c")


def test_counted_for_the_surest_class_above_its_threshold() -> None:
    """Worked by hand from section 3.1 of the paper."""
    scores = np.array(
        [
            [0.9, 0.1, 0.0],  # surer than its class is on average
            [0.5, 0.45, 0.05],  # below both thresholds: counted nowhere
            [0.1, 0.8, 0.1],  # labelled a, as sure of b as b's own are
            [0.75, 0.7, 0.0],  # above two thresholds: the surest
        ]
    )
    counted, suspicion = doubt_labels(scores, np.array([0, 0, 0, 1]), np.array([0.7, 0.6, np.inf]))
    assert counted.tolist() == [0, -1, 1, 0]
    assert suspicion[2] == pytest.approx((1 + 0.8 - 0.1) / 2)
    assert suspicion[3] == pytest.approx((1 + 0.75 - 0.7) / 2)


def test_planted_errors_come_first(spark: SparkSession) -> None:
    chance = np.random.default_rng(0)
    truth = np.arange(300) % 3
    logits = chance.normal(size=(300, 3)) + 4 * np.eye(3)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truth.copy()
    planted = [5, 77, 130, 211]
    labels[planted] = (truth[planted] + 1) % 3
    table = pa.table(
        {
            "sha256": pa.array([f"{number:03}" for number in range(300)]),
            "name": pa.array([f"{number}.png" for number in range(300)]),
            "side": pa.array(["test"] * 300),
            "label": pa.array([CLASSES[place] for place in labels]),
            "scores": pa.array(
                [None if number == 9 else row.tolist() for number, row in enumerate(scores)],
                pa.list_(pa.float32()),
            ),
        }
    )
    found = find_suspects(make_frame(spark, table).repartition(3), CLASSES, most=10)
    # The fourth one's score is below what its class's samples have on average.
    assert {int(one.sha256) for one in found[:3]} == {5, 77, 211}
    assert found[0].suspected == CLASSES[truth[int(found[0].sha256)]]
    assert found[0].suspicion > 0.9
    assert [one.suspicion for one in found] == sorted((s.suspicion for s in found), reverse=True)
    assert len(find_suspects(make_frame(spark, table), CLASSES, most=2)) == 2


def test_missing_and_wrong_ones_of_several_labels(spark: SparkSession) -> None:
    """Planted ones are found; one sample lacks a label and has a wrong one."""
    chance = np.random.default_rng(0)
    truth = chance.random((200, 3)) < (0.5, 0.4, 0)
    truth[~truth.any(axis=1), 0] = True
    scores = np.clip(np.where(truth, 0.9, 0.1) + chance.normal(size=(200, 3)) / 50, 0, 1)
    scores[[5, 77, 130]] = np.where(truth[[5, 77, 130]], 0.99, 0.02)
    labels = truth.copy()
    labels[5, 1] ^= True
    labels[77, 0] ^= True
    labels[130, :2] ^= True
    # Of a class that no sample has, none is suspected.
    scores[9, 2] = 1.0

    def write(row: npt.NDArray[np.bool_]) -> str:
        return write_labels(np.array(CLASSES)[row])

    table = pa.table(
        {
            "sha256": pa.array([f"{number:03}" for number in range(200)]),
            "name": pa.array([f"{number}.png" for number in range(200)]),
            "side": pa.array(["test"] * 200),
            "label": pa.array([write(row) for row in labels]),
            "scores": pa.array(
                [None if number == 11 else row.tolist() for number, row in enumerate(scores)],
                pa.list_(pa.float32()),
            ),
        }
    )
    frame = make_frame(spark, table).repartition(3)
    found = find_suspects(frame, CLASSES, most=10, task=SEVERAL)
    assert {int(one.sha256) for one in found} == {5, 77, 130}
    for one in found:
        number = int(one.sha256)
        assert (one.label, one.suspected) == (write(labels[number]), write(truth[number]))
        own = np.where(truth[number], 0.99, 0.98)[labels[number] != truth[number]]
        assert one.suspicion == pytest.approx(own.max())
