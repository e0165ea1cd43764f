"""What every evaluation of the pictures in conftest.py finds."""

import pytest

from serving.job import store
from serving.job.evaluation import Evaluation
from spark_jobs.spec import EvaluateOutcome
from tests.spark_jobs.tiny import (
    CLASSES,
)

PER_CLASS = 6
TRAINED_ON = "0" * 64
LEFT_OUT = "data:image/jpeg;base64,AAAA"


def check_outcome(outcome: EvaluateOutcome) -> None:
    evaluation = store.read_model(outcome.metrics_uri, Evaluation)
    assert evaluation.classes == CLASSES
    assert evaluation.confusion == ((6, 0, 0), (2, 4, 0), (0, 0, 6))
    assert outcome.accuracy == evaluation.accuracy == pytest.approx(16 / 18)
    assert evaluation.per_class[0].precision == pytest.approx(6 / 8)
    assert (outcome.bad_cases, outcome.test_samples) == (2, 18)
    assert outcome.weakest is not None
    assert outcome.weakest.label == CLASSES[1]
    assert outcome.weakest.recall == pytest.approx(4 / 6)
