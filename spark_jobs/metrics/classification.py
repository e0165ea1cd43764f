"""Metrics that need no scores: of counts, and of counted pairs of true and predicted label.

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
    """What needs no scores; samples that are not all right are `wrong`. The rest: see Evaluation.

    predicted: how often each class was called.
    """

    classes: tuple[str, ...]
    samples: int
    wrong: int
    confusion: Confusion
    accuracy: float
    balanced_accuracy: float
    macro: Averages
    micro: Averages
    weighted: Averages
    per_class: tuple[ClassMetrics, ...]
    predicted: tuple[int, ...]
    hamming_loss: float | None = None

    @property
    def macro_f1(self) -> float:
        """Mean F1."""
        return self.macro.f1


def find_ratio(part: float, whole: float) -> float:
    """0 where the whole is 0."""
    return part / whole if whole else 0.0


def average_classes(rows: Sequence[ClassMetrics], weigh: Callable[[ClassMetrics], int]) -> Averages:
    """Each class weighed; 0 where nothing weighs."""
    whole = sum(map(weigh, rows))
    return Averages(
        precision=find_ratio(sum(weigh(row) * row.precision for row in rows), whole),
        recall=find_ratio(sum(weigh(row) * row.recall for row in rows), whole),
        f1=find_ratio(sum(weigh(row) * row.f1 for row in rows), whole),
    )


def describe_class(label: str, hits: int, support: int, called: int) -> ClassMetrics:
    """Its row of the table, by its counts."""
    return ClassMetrics(
        label=label,
        precision=find_ratio(hits, called),
        recall=find_ratio(hits, support),
        f1=find_ratio(2 * hits, support + called),
        support=support,
    )


def compute_metrics(pairs: Mapping[tuple[str, str], int], classes: tuple[str, ...]) -> Metrics:
    """Metrics over the given classes, and over others that occur in the pairs."""
    seen = {label for pair in pairs for label in pair}
    names = (*classes, *sorted(seen - set(classes)))
    confusion = tuple(tuple(pairs.get((true, called), 0) for called in names) for true in names)
    predicted = tuple(map(sum, zip(*confusion, strict=True)))
    per_class = tuple(
        describe_class(name, confusion[i][i], sum(confusion[i]), predicted[i])
        for i, name in enumerate(names)
    )
    total = sum(row.support for row in per_class)
    right = sum(confusion[i][i] for i in range(len(names)))
    accuracy = find_ratio(right, total)
    present = [row for row in per_class if row.label in seen]
    labelled = [row for row in present if row.support]
    return Metrics(
        classes=names,
        samples=total,
        wrong=total - right,
        confusion=confusion,
        accuracy=accuracy,
        balanced_accuracy=average_classes(labelled, lambda _: 1).recall,
        macro=average_classes(present, lambda _: 1),
        micro=Averages(precision=accuracy, recall=accuracy, f1=accuracy),
        weighted=average_classes(present, lambda row: row.support),
        per_class=per_class,
        predicted=predicted,
    )
