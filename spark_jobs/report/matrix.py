"""The confusion matrix as cells to colour and to follow to their pictures. Pure."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

# Beyond so many classes the matrix shows colours only; each cell tells its number when pointed at.
MAX_NUMBERED_CLASSES = 15
HEAT_STEPS = 10
Pair = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """One square; heat from 0 to HEAT_STEPS, the share of its row.

    anchor: id of the first picture of this mix-up on the page; empty where none is shown.
    """

    count: int
    heat: int
    right: bool
    title: str
    anchor: str


def name_anchor(pair: Pair) -> str:
    """Where the pictures of class pair[0] that were called pair[1] begin."""
    return f"pair-{pair[0]}-{pair[1]}"


def heat_map(
    classes: Sequence[str], confusion: Sequence[Sequence[int]], shown: Collection[Pair] = ()
) -> list[list[Cell]]:
    """Rows of cells; a count that is not 0 is never left without colour.

    shown: mix-ups with pictures on the page.
    """
    rows = []
    for i, counts in enumerate(confusion):
        total = sum(counts)
        rows.append(
            [
                Cell(
                    count=count,
                    heat=math.ceil(HEAT_STEPS * count / total) if count else 0,
                    right=i == j,
                    title=_tell(classes[i], classes[j], count, total, right=i == j),
                    anchor=name_anchor((i, j)) if (i, j) in shown else "",
                )
                for j, count in enumerate(counts)
            ]
        )
    return rows


def _tell(true: str, called: str, count: int, total: int, *, right: bool) -> str:
    share = f" ({100 * count / total:.0f} %)" if total else ""
    what = f"{true} named right" if right else f"{true} taken for {called}"
    return f"{what}: {count} of {total}{share}"
