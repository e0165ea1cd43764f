"""Metrics of a classifier that need no scores, from counted pairs of true and predicted label.

Definitions are scikit-learn's with zero_division=0: precision = hits / predicted, recall =
hits / support, F1 their harmonic mean, each 0 where its denominator is 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from serving.job.evaluation import Averages
from spark_jobs.spec import ClassMetrics

Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Metrics:
    """confusion[i][j]: samples of class i that were called class j, in the order of `classes`.

    predicted: how often each class was called. Averages are over the classes that occur as label
    or prediction; balanced_accuracy is over those that occur as label.
    """

    classes: tuple[str, ...]
    confusion: Confusion
    accuracy: float
    balanced_accuracy: float
    macro: Averages
    micro: Averages
    weighted: Averages
    per_class: tuple[ClassMetrics, ...]
    predicted: tuple[int, ...]

    @property
    def macro_f1(self) -> float:
        """Mean F1."""
        return self.macro.f1

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(map(sum, self.confusion))

    @property
    def wrong(self) -> int:
        """Number of samples off the diagonal."""
        return self.samples - sum(row[i] for i, row in enumerate(self.confusion))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _average(rows: Sequence[ClassMetrics], weigh: Callable[[ClassMetrics], int]) -> Averages:
    whole = sum(map(weigh, rows))
    return Averages(
        precision=_ratio(sum(weigh(row) * row.precision for row in rows), whole),
        recall=_ratio(sum(weigh(row) * row.recall for row in rows), whole),
        f1=_ratio(sum(weigh(row) * row.f1 for row in rows), whole),
    )


def compute_metrics(pairs: Mapping[tuple[str, str], int], classes: tuple[str, ...]) -> Metrics:
    """Metrics over the given classes, and over others that occur in the pairs."""
    seen = {label for pair in pairs for label in pair}
    names = (*classes, *sorted(seen - set(classes)))
    confusion = tuple(tuple(pairs.get((true, called), 0) for called in names) for true in names)
    predicted = tuple(map(sum, zip(*confusion, strict=True)))
    per_class = []
    for i, name in enumerate(names):
        hits, support, called = confusion[i][i], sum(confusion[i]), predicted[i]
        per_class.append(
            ClassMetrics(
                label=name,
                precision=_ratio(hits, called),
                recall=_ratio(hits, support),
                f1=_ratio(2 * hits, support + called),
                support=support,
            )
        )
    total = sum(row.support for row in per_class)
    accuracy = _ratio(sum(confusion[i][i] for i in range(len(names))), total)
    present = [row for row in per_class if row.label in seen]
    labelled = [row for row in present if row.support]
    return Metrics(
        classes=names,
        confusion=confusion,
        accuracy=accuracy,
        balanced_accuracy=_average(labelled, lambda _: 1).recall,
        macro=_average(present, lambda _: 1),
        micro=Averages(precision=accuracy, recall=accuracy, f1=accuracy),
        weighted=_average(present, lambda row: row.support),
        per_class=tuple(per_class),
        predicted=predicted,
    )
