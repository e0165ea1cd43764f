"""Benchmarks whose measuring needs what the jobs need: it runs in their environment."""

import os
import subprocess
import sys

from pipelines.local.layout import REPO, read_layout
from pipelines.settings import read_settings


def run_measuring(module: str) -> int:
    """Run a module with this process's arguments; its exit code."""
    layout = read_layout(read_settings())
    # One thread, as Spark gives its workers: the matrices are too small to share.
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "OMP_NUM_THREADS": "1",
        "MODELMILL_HOME": str(layout.home),
    }
    argv = [str(layout.jobs / "bin" / "python"), "-m", module, *sys.argv[1:]]
    return subprocess.run(argv, cwd=REPO, env=environment, check=False).returncode
