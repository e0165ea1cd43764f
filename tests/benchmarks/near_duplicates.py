"""How well near-duplicates are found: ./modelmill bench near_duplicates [FOLDER] [OPTIONS].

Plants copies among the pictures of FOLDER and of a fixed camera's scene that it makes itself, and
prints one JSON line a finding: recall per kind of copy, and false groups where none was planted.
"""

import os
import subprocess
import sys

from pipelines.local.layout import REPO, read_layout
from pipelines.settings import read_settings

MEASURING = "tests.spark_jobs.near_duplicates.measure"


def main() -> int:
    """The measuring needs what the jobs need, so it runs in their environment."""
    python = read_layout(read_settings()).jobs / "bin" / "python"
    # One thread, as Spark gives its workers: the matrices are too small to share.
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    argv = [str(python), "-m", MEASURING, *sys.argv[1:]]
    return subprocess.run(argv, cwd=REPO, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
