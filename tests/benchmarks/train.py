"""From trigger to served on a warm stack: ./modelmill bench train [FOLDER] [--repeat N].

FOLDER holds one sub-folder per class; by default the photos of ants and bees where
MODELMILL_TEST_DATA names the folder above them. Prints one JSON line a run: seconds per task and
in all, accuracy, and the resident memory of all services.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.photos import find_photos

LAUNCHER = Path(__file__).parents[2] / "modelmill"
DATASET = "bench-train"


def call(*arguments: str) -> dict[str, Any]:
    """One command of ./modelmill; its progress goes to standard error."""
    done = subprocess.run(
        [str(LAUNCHER), *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        # It has said why; of a dataset that was measured before, the gate may hold the model back.
        sys.exit(f"./modelmill {arguments[0]} ended with {done.returncode}: nothing was measured.")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Import once, train as often as asked."""
    parser = argparse.ArgumentParser(prog="./modelmill bench train", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=find_photos())
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder: name one with a sub-folder per class")
    call("up")
    call("import", str(arguments.folder), "--dataset", DATASET)
    for number in range(arguments.repeat):
        # A seed that no earlier benchmark had: what is unchanged would not be trained.
        seed = str(int(time.time()) + number)
        result = call("train", "--dataset", DATASET, "--seed", seed, "--wait")
        services = call("status")["services"]
        line = {
            "benchmark": "train",
            "cores": os.cpu_count(),
            **{key: result[key] for key in ("state", "accuracy", "macro_f1", "test_samples")},
            "seconds": result["seconds"],
            "seconds_per_task": result["seconds_per_task"],
            "idle_memory_mb": round(sum(one["memory"] for one in services) / 2**20),
        }
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
