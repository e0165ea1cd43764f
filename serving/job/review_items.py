"""What an evaluation found, as items of the review queue; pure."""

import math
from collections.abc import Iterator
from datetime import datetime

from serving.job.evaluation import BadCase, BadCases
from serving.job.reviews import ReviewItem


def make_review_items(
    found: BadCases, dataset: str, run_id: str, now: datetime
) -> Iterator[ReviewItem]:
    """An item per bad case, in their order. now: aware."""
    for case in found.cases:
        yield ReviewItem(
            dataset=dataset,
            sha256=case.sha256,
            name=case.name,
            label=case.label,
            predicted=case.predicted,
            # A number that is none cannot be shown, nor written as JSON.
            scores=tuple((name, score) for name, score in case.scores if math.isfinite(score)),
            reasons=case.reasons,
            source="bad_case",
            run_id=run_id,
            suspicion=measure_suspicion(case),
            queued_at=now,
            neighbours=case.neighbours,
        )


def measure_suspicion(case: BadCase) -> float:
    """0 to 1: how much speaks against the label.

    The mean of how much surer the model is of its own answer than of the label, and the share of
    the nearest train samples that carry that answer; the first alone where there are none.
    """
    scores = {name: score for name, score in case.scores if math.isfinite(score)}
    lead = scores.get(case.predicted, 0.0) - scores.get(case.label, 0.0)
    lead = min(1.0, max(0.0, lead))
    if not case.neighbours:
        return lead
    agreeing = sum(one.label == case.predicted for one in case.neighbours)
    return (lead + agreeing / len(case.neighbours)) / 2
