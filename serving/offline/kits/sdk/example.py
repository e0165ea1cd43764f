"""python example.py PICTURE…: one JSON object a picture, best label first."""

import json
import sys
from pathlib import Path

from serving.bundle.folders import FileFound, answer_file
from serving.bundle.predictor import Predictor

predictor = Predictor(Path(__file__).parent / "bundle")
for name in sys.argv[1:]:
    answer = answer_file(predictor, Path(), FileFound(name), top=5)
    print(json.dumps({"path": name, "results": answer.results, "error": answer.error}))
