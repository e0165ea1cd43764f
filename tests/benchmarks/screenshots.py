"""The README's picture of a report, and others: ./modelmill bench screenshots FOLDER.

Everything on them is drawn, and the numbers are made up; one JSON line a picture.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.spark_jobs.report.screenshots"))
