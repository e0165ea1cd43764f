"""What the etl costs: ./modelmill bench etl [--decode N] [--sizes N ...].

Decoding by Spark against a plain pool of processes; the whole chain over many small pictures, and
again with a hundredth more. Prints one JSON line a finding.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.spark_jobs.measuring.etl"))
