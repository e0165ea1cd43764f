"""Metrics of a classifier, from counted pairs of true and predicted label.

Definitions are scikit-learn's with zero_division=0: precision = hits / predicted, recall =
hits / support, F1 their harmonic mean, each 0 where its denominator is 0.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from spark_jobs.spec import ClassMetrics

Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Metrics:
    """confusion[i][j]: samples of class i that were called class j, in the order of `classes`."""

    classes: tuple[str, ...]
    confusion: Confusion
    accuracy: float
    macro_f1: float
    per_class: tuple[ClassMetrics, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(map(sum, self.confusion))

    @property
    def wrong(self) -> int:
        """Number of samples off the diagonal."""
        return self.samples - sum(row[i] for i, row in enumerate(self.confusion))


def count_pairs(predictions: pa.Table, predicted: str = "predicted") -> dict[tuple[str, str], int]:
    """(label, predicted label) → rows."""
    columns = (predictions[name].to_pylist() for name in ("label", predicted))
    return dict(Counter(zip(*columns, strict=True)))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def compute_metrics(pairs: Mapping[tuple[str, str], int], classes: tuple[str, ...]) -> Metrics:
    """Metrics over the given classes, and over others that occur in the pairs.

    macro_f1 is the plain mean over the classes that occur as label or prediction.
    """
    seen = {label for pair in pairs for label in pair}
    names = (*classes, *sorted(seen - set(classes)))
    confusion = tuple(tuple(pairs.get((true, called), 0) for called in names) for true in names)
    per_class = []
    for i, name in enumerate(names):
        hits = confusion[i][i]
        support = sum(confusion[i])
        called = sum(row[i] for row in confusion)
        per_class.append(
            ClassMetrics(
                label=name,
                precision=_ratio(hits, called),
                recall=_ratio(hits, support),
                f1=_ratio(2 * hits, support + called),
                support=support,
            )
        )
    total = sum(map(sum, confusion))
    present = [row.f1 for row in per_class if row.label in seen]
    return Metrics(
        classes=names,
        confusion=confusion,
        accuracy=_ratio(sum(confusion[i][i] for i in range(len(names))), total),
        macro_f1=_ratio(sum(present), len(present)),
        per_class=tuple(per_class),
    )
