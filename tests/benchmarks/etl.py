"""What the etl costs: ./modelmill bench etl [--decode N] [--sizes N ...].

Decoding by Spark against a plain pool of processes; the whole chain over many small pictures, and
again with a hundredth more. Prints one JSON line a finding.
"""

import os
import subprocess
import sys

from pipelines.local.layout import REPO, read_layout
from pipelines.settings import read_settings

MEASURING = "tests.spark_jobs.measuring.etl"


def main() -> int:
    """The measuring needs what the jobs need, so it runs in their environment."""
    layout = read_layout(read_settings())
    # One thread, as Spark gives its workers.
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "OMP_NUM_THREADS": "1",
        "MODELMILL_HOME": str(layout.home),
    }
    argv = [str(layout.jobs / "bin" / "python"), "-m", MEASURING, *sys.argv[1:]]
    return subprocess.run(argv, cwd=REPO, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
