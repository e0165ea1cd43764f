"""How fast the model server is: ./modelmill bench serve [--seconds N] [--repeat N]
[--soak MINUTES [--only-soak]].

Against bare decoding and onnxruntime, against a plain Flask server, overloaded, at its start, and
over minutes. The server on core 0, its callers on core 1. Prints one JSON line a finding.
"""

import sys

from tests.measuring import run_measuring

if __name__ == "__main__":
    sys.exit(run_measuring("tests.serving.measuring.serve"))
