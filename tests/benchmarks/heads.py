"""How fast heads are trained and searched: ./modelmill bench heads [--photos DIR] [OPTIONS].

By Paddle's launcher, on 2 ranks by default: one head on 100,000 vectors of 100 classes, 20 epochs;
and, where DIR holds train/ with one sub-folder per class, a search of 30 trials on its features.
Each line of JSON has the seconds of the training or the search, and of the whole command.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.training.measuring.heads"))
