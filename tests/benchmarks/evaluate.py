"""What an evaluation costs: ./modelmill bench evaluate [--samples N ...] [--pictures N].

All metrics of a million predictions of 100 classes in Spark, on two cores; and scoring pictures by
Spark against bare onnxruntime in two processes. Prints one JSON line a finding.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.spark_jobs.measuring.evaluate"))
