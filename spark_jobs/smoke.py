"""Test samples that a new server must answer before it gets traffic."""

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence

from serving.job.smoke import SmokeSample, SmokeSamples
from serving.job.spec import Spec


class Prediction(Spec):
    """What the bundle said of one test sample: its best label and that label's probability."""

    sha256: str
    name: str
    label: str
    segment: str
    size_bytes: int
    predicted: str
    score: float


def choose_smoke(predictions: Sequence[Prediction], count: int) -> list[Prediction]:
    """Up to `count` rightly classified samples, from as many classes as there are.

    Sure answers before unsure ones, small pictures before large ones. Where no answer is right,
    any will do: the server must give the same.
    """
    right = [p for p in predictions if p.predicted == p.label]
    by_class: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in sorted(
        right or predictions, key=lambda p: (p.score < 0.6, p.size_bytes, p.sha256)
    ):
        by_class[prediction.label].append(prediction)
    queues = [by_class[label] for label in sorted(by_class)]
    rounds = (queue[i] for i in range(count) for queue in queues if i < len(queue))
    return [prediction for prediction, _ in zip(rounds, range(count), strict=False)]


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
