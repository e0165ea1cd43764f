"""What stays of a matrix and a table that are too large to be read. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.job.evaluation import ClassScore

# Beyond so many classes the commonest mistakes are listed instead of a matrix.
MOST_IN_MATRIX = 50
SHOWN_CONFUSIONS = 30
# Beyond so many classes the weakest are shown, and the whole table on demand.
MOST_ROWS = 60
SHOWN_WEAKEST = 25


@dataclass(frozen=True)
class Confusion:
    """`count` of the `total` test samples of class `true` were called `called`."""

    true: str
    called: str
    count: int
    total: int


@dataclass(frozen=True)
class Confusions:
    """The commonest first; pairs: how many pairs of classes were confused in all."""

    shown: tuple[Confusion, ...]
    pairs: int


def list_confusions(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Confusions:
    """confusion: as in Evaluation."""
    found = []
    for i, counts in enumerate(confusion):
        total = sum(counts)
        found += [
            Confusion(classes[i], classes[j], count, total)
            for j, count in enumerate(counts)
            if count and i != j
        ]
    # Of pairs that are confused as often, those come first that are so more often than not.
    found.sort(key=lambda one: (-one.count, one.total, one.true, one.called))
    return Confusions(tuple(found[:SHOWN_CONFUSIONS]), len(found))


def list_weakest(rows: Sequence[ClassScore]) -> tuple[ClassScore, ...]:
    """Those with test samples whose F1 is lowest; of equal ones, the most frequent first."""
    tested = [row for row in rows if row.support]
    return tuple(sorted(tested, key=lambda row: (row.f1, -row.support, row.label))[:SHOWN_WEAKEST])
