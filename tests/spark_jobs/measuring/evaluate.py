"""The measuring part of ./modelmill bench evaluate; runs in the jobs' environment."""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from tests.spark_jobs.measuring.predictions import measure_predictions, write_predictions
from tests.spark_jobs.measuring.throughput import compare_scoring


def tell(finding: str, **values: object) -> None:
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"benchmark": "evaluate", "finding": finding, **rounded, "load": load}))
    sys.stdout.flush()


def tell_metrics(folder: Path, samples: int, classes: int, memory: str) -> None:
    cost, peak, found = measure_predictions(folder, classes, memory)
    tell(
        "metrics",
        samples=samples,
        classes=classes,
        seconds=cost.seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_memory_mb=peak >> 20,
        accuracy=found.accuracy,
        roc_auc=found.roc_auc,
        ranking_error=found.ranking_error,
    )


def tell_scoring(pictures: int, memory: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        bundle = Path(name) / "bundle"
        # Paddle, which it needs, would stay in this process's memory.
        command = [sys.executable, "-m", "tests.serving.measuring.bundle", str(bundle)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        found = compare_scoring(Path(name) / "pictures", bundle, pictures, memory)
    tell("scoring", pictures=pictures, **found)


def tell_unknown() -> None:
    from tests.spark_jobs.measuring.unknown import measure_unknown

    with redirect_stdout(sys.stderr):
        found = measure_unknown()
    tell("unknown", **found)


def run_apart(work: Callable[..., None], *values: object) -> bool:
    """In a process of its own, so that each starts cold; whether it went well."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=values)
    process.start()
    process.join()
    return process.exitcode == 0


def main() -> int:
    """Making predictions is not measured."""
    parser = argparse.ArgumentParser(prog="./modelmill bench evaluate", description=__doc__)
    parser.add_argument("--samples", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--pictures", type=int, default=2000, help="to score; 0: leave out")
    parser.add_argument("--unknown", action="store_true", help="train without two of ten digits")
    parser.add_argument("--memory", default="1g", help="of Spark's Java side")
    given = parser.parse_args()
    well = True
    for samples in given.samples:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "predictions"
            made = run_apart(write_predictions, folder, samples, given.classes, given.memory)
            well &= made and run_apart(tell_metrics, folder, samples, given.classes, given.memory)
    if given.pictures:
        well &= run_apart(tell_scoring, given.pictures, given.memory)
    if given.unknown:
        well &= run_apart(tell_unknown)
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
