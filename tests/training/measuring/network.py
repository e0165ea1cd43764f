"""The measuring part of ./modelmill bench network; runs in the jobs' environment."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.training.measuring.heads import run_ranks

SCRIPT = Path(__file__).with_name("network_on_ranks.py")


def main() -> int:
    """Measure on each number of ranks."""
    parser = argparse.ArgumentParser(prog="./modelmill bench network")
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    for ranks in options.ranks:
        with tempfile.TemporaryDirectory() as name:
            found = run_ranks(str(options.steps), Path(name), ranks, SCRIPT)
        print(json.dumps({"benchmark": "network", **found, "what": "steps"}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
