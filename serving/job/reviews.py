"""The review queue in MongoDB: bad cases and doubtful labels, and what a person decided."""

from datetime import datetime
from typing import Literal

from serving.job.spec import Spec

COLLECTION = "reviews"
Source = Literal["bad_case", "label_suspect", "feedback"]
Verdict = Literal["confirm", "relabel", "delete", "hard"]


class Decision(Spec):
    """label: the new one of a relabelled sample, else the one it keeps."""

    verdict: Verdict
    label: str
    by: str
    at: datetime


class ReviewItem(Spec):
    """One doubtful sample, with the label that it had when it was queued.

    suspicion: 0 to 1, how likely the label is wrong or the sample worth a look; the queue's order.
    decision: None while nobody has decided.
    """

    dataset: str
    sha256: str
    name: str
    label: str
    predicted: str | None
    scores: tuple[tuple[str, float], ...] = ()
    reasons: tuple[str, ...] = ()
    source: Source
    run_id: str
    suspicion: float
    queued_at: datetime
    decision: Decision | None = None
