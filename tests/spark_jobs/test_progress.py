"""Long work tells how far it is."""

import time

import pytest
from pyspark.sql import SparkSession

from serving.job import progress
from serving.job.progress import Progress
from spark_jobs import stage_progress
from spark_jobs.stage_progress import describe_stage, show_progress


def slow(rows: object) -> list[int]:
    time.sleep(0.4)
    return [1]


def test_lines_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    shown = Progress("import signs", 4)
    for _ in range(4):
        shown.advance()
    shown.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "1/4" in lines[0]
    assert "100%" in lines[-1]


def test_lines_about_spark(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage_progress, "INTERVAL_S", 0.1)
    with show_progress(spark):
        spark.sparkContext.parallelize(range(6), 6).mapPartitions(slow).count()
    assert "of 6 tasks" in capsys.readouterr().out


def test_time_left() -> None:
    assert describe_stage(2, 8, 10.0) == "Spark: 2 of 8 tasks, 10 s, about 30 s left"
    assert describe_stage(0, 8, 10.0) == "Spark: 0 of 8 tasks, 10 s, starting"
