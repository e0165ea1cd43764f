"""How good the found models are: ./modelmill bench accuracy [--photos DIR] [--cells DIR] [OPTIONS].

DIR of photos holds train/ and val/, each with one sub-folder per class; DIR of cells is BCCD's,
with Annotations/, JPEGImages/ and ImageSets/. Features are made once and kept in --work. Each line
of JSON is one model beside its baseline on the same test pictures; --help shows the rest.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.training.measuring.accuracy"))
