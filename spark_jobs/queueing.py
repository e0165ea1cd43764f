"""What an evaluation asks a person to look at: its mistakes, and labels that are likely wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from serving.bundle.manifest import SEVERAL, Task
from serving.job.evaluation import BadCase, BadCases
from serving.job.reviews import Queued, ReviewItem, queue_reviews
from serving.job.suspects import Suspect, Suspects
from spark_jobs.label_sets import name_labels
from spark_jobs.reasons import doubt_label
from spark_jobs.spec import EvaluateSpec


def find_margin(case: BadCase, task: Task) -> float:
    """Half of one and of the lead of the called class over the label, as suspects have it.

    Of several labels: the largest such lead, of saying a class over not saying it or the other way
    round.
    """
    scores = dict(case.scores)
    if scores and task == SEVERAL:
        label, said = (name_labels(text, task) for text in (case.label, case.predicted))
        leads = [scores.get(name, 0.0) for name in said - label]
        return max(leads + [1 - scores.get(name, 0.0) for name in label - said])
    return (1 + scores.get(case.predicted, 0.0) - scores.get(case.label, 0.0)) / 2


def list_items(
    spec: EvaluateSpec, cases: BadCases, suspects: Suspects, at: datetime, task: Task
) -> Iterator[ReviewItem]:
    """One item a sample; a mistake whose label is suspect is asked about as a suspect."""
    doubted = {one.sha256: one for one in suspects.suspects}
    for case in cases.cases:
        suspect = doubted.pop(case.sha256, None)
        yield ReviewItem(
            dataset=spec.dataset,
            sha256=case.sha256,
            name=case.name,
            label=case.label,
            predicted=case.predicted,
            scores=case.scores,
            reasons=case.reasons,
            source="label_suspect" if suspect else "bad_case",
            run_id=spec.run_id,
            suspicion=suspect.suspicion if suspect else find_margin(case, task),
            queued_at=at,
            neighbours=case.neighbours,
        )
    for one in doubted.values():
        yield _doubt(spec, one, at, task)


def _doubt(spec: EvaluateSpec, one: Suspect, at: datetime, task: Task) -> ReviewItem:
    return ReviewItem(
        dataset=spec.dataset,
        sha256=one.sha256,
        name=one.name,
        label=one.label,
        predicted=one.suspected,
        reasons=(doubt_label(one, task),),
        source="label_suspect",
        run_id=spec.run_id,
        suspicion=one.suspicion,
        queued_at=at,
    )


def queue_found(
    database: Any, spec: EvaluateSpec, cases: BadCases, suspects: Suspects, task: Task
) -> Queued:
    """Put them into the dataset's queue."""
    return queue_reviews(database, list_items(spec, cases, suspects, datetime.now(UTC), task))
