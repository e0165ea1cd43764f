"""Where Python looks for modules."""

import os
import sys
from pathlib import Path


def prefer_bytecode() -> None:
    """Take Spark's own zips off the path where the environment holds that very pyspark.

    Modules from a zip without bytecode are compiled anew by each process: most of a second.
    """
    given = os.environ.get("SPARK_HOME")
    if not given:
        return
    home = Path(given).resolve()
    entries = [(entry, Path(entry).resolve()) for entry in sys.path]
    if home.parent in (path for _, path in entries):
        sys.path[:] = [entry for entry, path in entries if home not in path.parents]
