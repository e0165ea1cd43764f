"""The measuring part of ./modelmill bench heads; runs in the jobs' environment."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.training.measuring.features import make_table
from tests.training.measuring.heads_on_ranks import CLASSES, EPOCHS
from tests.training.measuring.pictures import read_photos

SCRIPT = Path(__file__).with_name("heads_on_ranks.py")
VECTORS, WIDTH = 100_000, 1280


def write_vectors(folder: Path) -> None:
    """Noisy vectors of a hundred classes."""
    chance = np.random.default_rng(0)
    targets = chance.integers(CLASSES, size=VECTORS)
    centres = chance.normal(0, 0.1, (CLASSES, WIDTH)).astype(np.float32)
    vectors = chance.normal(0, 1, (VECTORS, WIDTH)).astype(np.float32)
    vectors += centres[targets]
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "targets.npy", targets)


def write_photos(photos: Path, folder: Path, work: Path) -> None:
    """Features of the train side, one matrix an input."""
    pictures = [one for one in read_photos(photos) if one.side == "train"]
    table = make_table(pictures, work)
    names = sorted({one.label for one in pictures})
    targets = [names.index(one.label) for one in pictures]
    np.save(folder / "targets.npy", np.array(targets, np.int64))
    inputs = [given.model_dump(mode="json") for given in table.inputs]
    (folder / "inputs.json").write_text(json.dumps(inputs))
    for given in table.inputs:
        np.save(folder / f"{given.name}.npy", table.matrices[given.name])


def run_ranks(asked: str, folder: Path, ranks: int, script: Path = SCRIPT) -> dict[str, object]:
    """What rank 0 of a script found, and how long the launcher took in all."""
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", str(ranks)]
    command += ["--log_dir", str(folder / "logs"), "--log_level", "WARNING"]
    environment = {**os.environ, "POD_IP": "127.0.0.1"}
    started = time.monotonic()
    argv = [*command, str(script), asked, str(folder)]
    subprocess.run(argv, env=environment, stdout=sys.stderr, check=True)
    taken = time.monotonic() - started
    found: dict[str, object] = json.loads((folder / "found.json").read_text())
    return {"what": asked, "ranks": ranks, **found, "with_start": round(taken, 1)}


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(prog="./modelmill bench heads")
    parser.add_argument("--photos", type=Path, help="folder with train/: search on these, too")
    parser.add_argument("--ranks", type=int, nargs="*", default=[2])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where features are kept; default: nowhere")
    options = parser.parse_args()
    for ranks in options.ranks * options.repeat:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_vectors(folder)
            found = run_ranks("train", folder, ranks)
            line = {"vectors": VECTORS, "classes": CLASSES, "epochs": EPOCHS}
            print(json.dumps({"benchmark": "heads", **line, **found}), flush=True)
        if options.photos:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                work = options.work or folder / "features"
                work.mkdir(parents=True, exist_ok=True)
                write_photos(options.photos, folder, work)
                found = run_ranks("search", folder, ranks)
                print(json.dumps({"benchmark": "heads", **found}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
