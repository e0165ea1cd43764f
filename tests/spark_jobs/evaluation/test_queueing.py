"""How urgently a person is asked about a mistake."""

import pytest

from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.evaluation import BadCase
from spark_jobs.queueing import find_margin

SCORES = (("crack", 0.9), ("fray", 0.6), ("scratch", 0.3))


@pytest.mark.parametrize(
    ("task", "label", "predicted", "margin"),
    [
        (ONE, "fray", "crack", (1 + 0.9 - 0.6) / 2),
        (ONE, "fray|scratch", "crack", (1 + 0.9) / 2),
        # Wrongly said with 0.9; missed with 0.3; what is right counts for nothing.
        (SEVERAL, "fray", "crack|fray", 0.9),
        (SEVERAL, "crack|scratch", "crack", 1 - 0.3),
        (SEVERAL, "scratch", "fray", 1 - 0.3),
        (SEVERAL, "scratch", "", 1 - 0.3),
    ],
)
def test_the_lead_over_the_label(task: Task, label: str, predicted: str, margin: float) -> None:
    case = BadCase(sha256="", name="", label=label, predicted=predicted, scores=SCORES)
    assert find_margin(case, task) == pytest.approx(margin)


@pytest.mark.parametrize("task", [ONE, SEVERAL])
def test_nothing_is_known_of_what_cannot_be_read(task: Task) -> None:
    case = BadCase(sha256="", name="", label="fray", predicted="(unreadable)", scores=())
    assert find_margin(case, task) == 0.5
