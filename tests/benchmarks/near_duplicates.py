"""How well near-duplicates are found: ./modelmill bench near_duplicates [FOLDER] [OPTIONS].

Plants copies among the pictures of FOLDER and of a fixed camera's scene that it makes itself, and
prints one JSON line a finding: recall per kind of copy, and false groups where none was planted.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.spark_jobs.near_duplicates.measure"))
