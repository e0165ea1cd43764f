"""Lines about a running Spark job, for the log: tasks done, tasks in all, time left."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

INTERVAL_S = 5.0


def describe_stage(done: int, total: int, seconds: float) -> str:
    """One line; the time left is that of this Spark stage, at the pace so far."""
    left = f"about {seconds / done * (total - done):.0f} s left" if done else "starting"
    return f"Spark: {done} of {total} tasks, {seconds:.0f} s, {left}"


def _watch(spark: "SparkSession", stop: threading.Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    started: dict[int, float] = {}
    while not stop.wait(INTERVAL_S):
        for stage in tracker.getActiveStageIds():
            info = tracker.getStageInfo(stage)
            begin = started.setdefault(stage, time.monotonic() - INTERVAL_S)
            if info is not None and info.numActiveTasks:
                seconds = time.monotonic() - begin
                print(describe_stage(info.numCompletedTasks, info.numTasks, seconds), flush=True)


@contextmanager
def show_progress(spark: "SparkSession") -> Iterator[None]:
    """Print a line every few seconds while Spark works."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(spark, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
