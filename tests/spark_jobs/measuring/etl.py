"""The measuring part of ./modelmill bench etl; runs in the jobs' environment."""

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from tests.spark_jobs.measuring.decoding import compare, write_pictures
from tests.spark_jobs.measuring.growth import grow, prepare_spark
from tests.spark_jobs.measuring.processes import watch_memory


def tell(finding: str, **values: object) -> None:
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
    print(json.dumps({"benchmark": "etl", "finding": finding, **rounded}), flush=True)


def tell_decoding(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_pictures(folder, count, 360, 270)
        tell("decode", pictures=count, bytes_each=size, **compare(folder))


def tell_growth(count: int, memory: str) -> None:
    prepare_spark(memory)
    # The jobs' own words are progress; standard output is for findings.
    with (
        tempfile.TemporaryDirectory() as name,
        watch_memory() as peak,
        redirect_stdout(sys.stderr),
    ):
        found = grow(Path(name), count)
    tell(
        "growth",
        pictures=count,
        import_seconds=found.imported.seconds,
        etl_seconds=found.first.seconds,
        etl_pictures_a_second=count / found.first.seconds,
        etl_cpu_milliseconds_a_picture=found.first.cpu_seconds / count * 1000,
        peak_memory_mb=peak[0] >> 20,
        added=found.added,
        features_made_after=found.made,
        etl_seconds_after=found.grown.seconds,
        after_over_first=found.grown.seconds / found.first.seconds,
        after_over_first_cpu=found.grown.cpu_seconds / found.first.cpu_seconds,
        pairs_compared=found.compared,
        pairs_compared_after=found.compared_after,
        step_seconds=found.steps,
        step_seconds_after=found.steps_after,
    )


def main() -> int:
    """Each finding in a process of its own, so that each starts cold."""
    parser = argparse.ArgumentParser(prog="./modelmill bench etl", description=__doc__)
    parser.add_argument("--decode", type=int, default=5000, help="JPEGs to decode; 0: leave out")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--memory", default="3g", help="of Spark's Java side")
    arguments = parser.parse_args()
    steps: list[tuple[Callable[..., None], tuple[object, ...]]] = []
    steps += [(tell_decoding, (arguments.decode,))] if arguments.decode else []
    steps += [(tell_growth, (size, arguments.memory)) for size in arguments.sizes]
    failed = 0
    for work, values in steps:
        process = multiprocessing.get_context("spawn").Process(target=work, args=values)
        process.start()
        process.join()
        failed |= process.exitcode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
