"""The README's pictures, and others: ./modelmill bench screenshots FOLDER.

Everything on them is drawn, and the numbers are made up; one JSON line a picture.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    modules = ("tests.spark_jobs.report.screenshots", "tests.serving.screenshots")
    sys.exit(max(run_measuring(module) for module in modules))
