"""How fast a whole network is trained: ./modelmill bench network [--ranks 1 2] [--steps N].

EfficientNet-Lite0 on drawn pictures, augmented, in steps of 32, by Paddle's launcher. Each line of
JSON has the seconds of a step, the first not counted, and the CPU-seconds of a step over all ranks.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.training.measuring.network"))
