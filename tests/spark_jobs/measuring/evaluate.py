"""The measuring part of ./modelmill bench evaluate; runs in the jobs' environment."""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import TypeVar

from tests.spark_jobs.measuring.predictions import measure_predictions, write_predictions
from tests.spark_jobs.measuring.processes import Cost
from tests.spark_jobs.measuring.throughput import compare_scoring

FEW, MANY = 1_000_000, 10_000_000
# Of FEW predictions of 100 classes; and of MANY over FEW.
AIMED_SECONDS, AIMED_MEMORY_MB, AIMED_GROWTH = 60, 3000, 12
AIMED_OVER_BARE = 0.9
T = TypeVar("T")


def tell(finding: str, **values: object) -> None:
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"benchmark": "evaluate", "finding": finding, **rounded, "load": load}))
    sys.stdout.flush()


def tell_metrics(folder: Path, samples: int, classes: int, memory: str) -> Cost:
    cost, peak, found = measure_predictions(folder, classes, memory)
    tell(
        "metrics",
        samples=samples,
        classes=classes,
        seconds=cost.seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_memory_mb=peak >> 20,
        aimed_seconds=AIMED_SECONDS if samples == FEW else None,
        aimed_memory_mb=AIMED_MEMORY_MB if samples == FEW else None,
        accuracy=found.accuracy,
        roc_auc=found.roc_auc,
        ranking_error=found.ranking_error,
    )
    return cost


def tell_growth(costs: dict[int, Cost]) -> None:
    """How much dearer the most predictions were than the fewest."""
    few, many = min(costs), max(costs)
    tell(
        "growth",
        samples=many,
        over=few,
        samples_ratio=many / few,
        seconds_ratio=costs[many].seconds / costs[few].seconds,
        cpu_seconds_ratio=costs[many].cpu_seconds / costs[few].cpu_seconds,
        aimed_ratio=AIMED_GROWTH if (few, many) == (FEW, MANY) else None,
    )


def tell_scoring(pictures: int, memory: str) -> bool:
    with tempfile.TemporaryDirectory() as name:
        bundle = Path(name) / "bundle"
        # Paddle, which it needs, would stay in this process's memory.
        command = [sys.executable, "-m", "tests.serving.measuring.bundle", str(bundle)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        found = compare_scoring(Path(name) / "pictures", bundle, pictures, memory)
    tell("scoring", pictures=pictures, **found, aimed_over_bare=AIMED_OVER_BARE)
    return True


def tell_unknown() -> bool:
    from tests.spark_jobs.measuring.unknown import measure_unknown

    with redirect_stdout(sys.stderr):
        found = measure_unknown()
    tell("unknown", **found)
    return True


def run_apart(work: Callable[..., T], *values: object) -> T | None:
    """In a process of its own, so that each starts cold; None where it failed."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        try:
            return pool.submit(work, *values).result()
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            return None


def main() -> int:
    """Making predictions is not measured."""
    parser = argparse.ArgumentParser(prog="./modelmill bench evaluate", description=__doc__)
    parser.add_argument("--samples", type=int, nargs="*", default=[FEW, MANY])
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--pictures", type=int, default=2000, help="to score; 0: leave out")
    parser.add_argument("--unknown", action="store_true", help="train without two of ten digits")
    parser.add_argument("--memory", default="1g", help="of Spark's Java side")
    given = parser.parse_args()
    costs: dict[int, Cost | None] = {}
    for samples in given.samples:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "predictions"
            size = (samples, given.classes, given.memory)
            made = run_apart(write_predictions, folder, *size)
            costs[samples] = run_apart(tell_metrics, folder, *size) if made else None
    done = {samples: cost for samples, cost in costs.items() if cost is not None}
    if len(done) > 1:
        tell_growth(done)
    well = len(done) == len(costs)
    if given.pictures:
        well &= bool(run_apart(tell_scoring, given.pictures, given.memory))
    if given.unknown:
        well &= bool(run_apart(tell_unknown))
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
