"""Test samples that a new server must answer before it gets traffic."""

import base64
from collections.abc import Mapping, Sequence

from serving.bundle.manifest import ONE, Task
from serving.job.labels import list_classes
from serving.job.smoke import SmokeSample, SmokeSamples
from serving.job.spec import Spec


class Prediction(Spec):
    """What the bundle said of one test sample: a row of SCORED, with its place in the store."""

    sha256: str
    name: str
    label: str
    segment: str
    size_bytes: int
    predicted: str
    score: float


def choose_smoke(
    predictions: Sequence[Prediction], count: int, task: Task = ONE
) -> list[Prediction]:
    """Up to `count` rightly classified samples, from as many classes as there are.

    Sure answers before unsure ones, small pictures before large ones; where a sample has several
    labels, among sure answers those that add most classes. Where no answer is right, any will do:
    the server must give the same.
    """
    left = [p for p in predictions if p.predicted == p.label] or list(predictions)
    chosen: list[Prediction] = []
    shown: set[str] = set()

    def rank(one: Prediction) -> tuple[bool, str, bool, int, int, str]:
        new = len(set(list_classes(one.label, task)) - shown)
        first = one.label if task == ONE else ""
        return not new, first, one.score < 0.6, -new, one.size_bytes, one.sha256

    while left and len(chosen) < count:
        if all(shown.issuperset(list_classes(p.label, task)) for p in left):
            shown.clear()
        best = min(left, key=rank)
        left.remove(best)
        chosen.append(best)
        shown.update(list_classes(best.label, task))
    return chosen


def make_smoke(chosen: Sequence[Prediction], contents: Mapping[str, bytes]) -> SmokeSamples:
    """Samples with their bytes and the label that the bundle gave them."""
    return SmokeSamples(
        samples=tuple(
            SmokeSample(
                sha256=p.sha256,
                content_base64=base64.b64encode(contents[p.sha256]).decode(),
                predicted=p.predicted,
            )
            for p in chosen
        )
    )
