"""python example.py PICTURE…: one JSON object a picture.

labels: what it shows, best first, and empty where it looks like none of the classes; results: the
five best classes with their probabilities.
"""

import json
import sys
from pathlib import Path

from serving.bundle.folders import FileFound, answer_file
from serving.bundle.predictor import Predictor

predictor = Predictor(Path(__file__).parent / "bundle")
for name in sys.argv[1:]:
    answer = answer_file(predictor, Path(), FileFound(name), top=5)
    line = {"path": name, "labels": answer.labels, "results": answer.results, "error": answer.error}
    print(json.dumps(line))
