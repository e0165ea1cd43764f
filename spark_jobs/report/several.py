"""Where a picture may have several labels: what was found, missed and wrongly said. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.bundle.manifest import BAR
from serving.job.evaluation import BadCase, ClassScore, MixUp

# Mix-ups beyond these are in report.json.
SHOWN_MIX_UPS = 30
# A bad case tells the scores of its labels, and of as many others as make these up.
SHOWN_SCORES = 3
NOTHING = -1


@dataclass(frozen=True)
class LabelCount:
    """One label over the test side: pictures where it was found, missed, and wrongly said."""

    label: str
    found: int
    missed: int
    wrongly: int

    @property
    def all(self) -> int:
        """Pictures that have it or were said to."""
        return self.found + self.missed + self.wrongly


def count_label(row: ClassScore) -> LabelCount:
    """Counts out of the shares."""
    found = round(row.recall * row.support)
    return LabelCount(row.label, found, row.support - found, row.predicted - found)


def list_labels(text: str) -> tuple[str, ...]:
    """`a|b` → a, b; nothing of an empty one, which names none."""
    return tuple(text.split(BAR)) if text else ()


@dataclass(frozen=True)
class Score:
    """A label's score; threshold: from which it is said, None where that is not known."""

    label: str
    score: float
    threshold: float | None


@dataclass(frozen=True)
class Sets:
    """A bad case's labels, and places of labels for the filters; NOTHING where there is none."""

    true: tuple[str, ...]
    said: tuple[str, ...]
    scores: tuple[Score, ...]
    places: Mapping[str, int]

    @property
    def missed(self) -> tuple[str, ...]:
        """True, and not said."""
        return tuple(one for one in self.true if one not in self.said)

    @property
    def extra(self) -> tuple[str, ...]:
        """Said, and not true."""
        return tuple(one for one in self.said if one not in self.true)

    def place(self, labels: Sequence[str]) -> tuple[int, ...]:
        """Where they stand among the classes."""
        return tuple(self.places[one] for one in labels) or (NOTHING,)


def make_sets(
    case: BadCase, places: Mapping[str, int], thresholds: Mapping[str, float | None]
) -> Sets:
    """places: of every class."""
    # Of a picture that could not be read nothing was said; `predicted` tells only why.
    true, said = list_labels(case.label), list_labels(case.predicted) if case.scores else ()
    own = [one for one in case.scores if one[0] in (*true, *said)]
    others = [one for one in case.scores if one not in own][: max(0, SHOWN_SCORES - len(own))]
    shown = [one for one in case.scores if one in own or one in others]
    scores = tuple(Score(label, score, thresholds.get(label)) for label, score in shown)
    return Sets(true, said, scores, places)


@dataclass(frozen=True)
class Bar:
    """A label's counts as pieces of a line 100 long; anchors: its pictures, empty: none shown."""

    count: LabelCount
    found: float
    missed: float
    wrongly: float
    missed_anchor: str
    wrongly_anchor: str


@dataclass(frozen=True)
class MixUpRow:
    """A mix-up; missed, extra: places of its labels; anchor: its first picture, if one is shown."""

    mix_up: MixUp
    missed: int
    extra: int
    anchor: str


@dataclass(frozen=True)
class LabelView:
    """Bars in the order of the rows; the commonest mix-ups, and how many there are in all."""

    bars: tuple[Bar, ...]
    mix_ups: tuple[MixUpRow, ...]
    kinds: int


Anchored = Sequence[tuple[str, Sets]]


def find_anchor(cards: Anchored, *, missed: int | None = None, extra: int | None = None) -> str:
    """The first card on which this label was missed, or that one wrongly said, or both."""
    for anchor, sets in cards:
        fits = missed is None or missed in sets.place(sets.missed)
        if fits and (extra is None or extra in sets.place(sets.extra)):
            return anchor
    return ""


def view_labels(
    rows: Sequence[ClassScore],
    mix_ups: Sequence[MixUp],
    places: Mapping[str, int],
    cards: Anchored,
) -> LabelView:
    """cards: anchor and labels of each bad case that is shown."""
    counts = [count_label(row) for row in rows]
    largest = max([1, *(one.all for one in counts)])
    shown = mix_ups[:SHOWN_MIX_UPS]
    placed = [(places.get(one.label, NOTHING), places.get(one.predicted, NOTHING)) for one in shown]
    return LabelView(
        bars=tuple(
            Bar(
                count=one,
                found=round(100 * one.found / largest, 2),
                missed=round(100 * one.missed / largest, 2),
                wrongly=round(100 * one.wrongly / largest, 2),
                missed_anchor=find_anchor(cards, missed=places[one.label]),
                wrongly_anchor=find_anchor(cards, extra=places[one.label]),
            )
            for one in counts
        ),
        mix_ups=tuple(
            MixUpRow(one, missed, extra, find_anchor(cards, missed=missed, extra=extra))
            for one, (missed, extra) in zip(shown, placed, strict=True)
        ),
        kinds=len(mix_ups),
    )
