"""Which bad cases the page shows, and as what. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serving.job.evaluation import BadCase, Neighbour
from spark_jobs.report.matrix import Pair, name_anchor

# The page stays below 10 MB: thumbnails are by far the most of it, and those of the data section
# add about a megabyte.
MOST_CARDS = 300
MOST_THUMBNAIL_BYTES = 5_500_000
# Beyond the pictures, so many mistakes are told in a line each; report.json has all of them.
MOST_LINES = 500


@dataclass(frozen=True)
class Near:
    """A train sample near a bad case; thumbnail may be empty."""

    neighbour: Neighbour
    thumbnail: str
    misleads: bool


@dataclass(frozen=True)
class Card:
    """A bad case with its picture. pair: places of its two classes. anchor: of a pair's first."""

    case: BadCase
    pair: Pair
    anchor: str
    thumbnail: str
    neighbours: tuple[Near, ...]


@dataclass(frozen=True)
class Choice:
    """An entry of a filter: a class, by its place, and how many cards have it."""

    place: int
    label: str
    cards: int


@dataclass(frozen=True)
class Gallery:
    """cards: with a picture; lines: without one; hidden: how many more report.json has."""

    cards: tuple[Card, ...]
    lines: tuple[BadCase, ...]
    hidden: int
    trues: tuple[Choice, ...]
    calleds: tuple[Choice, ...]

    @property
    def pairs(self) -> frozenset[Pair]:
        """Mix-ups that have a card."""
        return frozenset(card.pair for card in self.cards)


def choose_cases(cases: Sequence[BadCase], most: int) -> list[BadCase]:
    """`most` of them in their order: the first of each mix-up, then the first of all.

    So every cell of the confusion matrix has a picture to show, while there is room.
    """
    firsts: dict[tuple[str, str], int] = {}
    for place, case in enumerate(cases):
        firsts.setdefault((case.label, case.predicted), place)
    order = dict.fromkeys((*firsts.values(), *range(len(cases))))
    return [cases[place] for place in sorted(list(order)[:most])]


def make_gallery(
    cases: Sequence[BadCase], classes: Sequence[str], thumbnails: Mapping[str, str]
) -> Gallery:
    """Cards for cases that `thumbnails` knows, as far as they fit the page; the rest as lines."""
    told = [label for case in cases for label in (case.label, case.predicted)]
    classes = tuple(dict.fromkeys((*classes, *told)))
    places = {label: place for place, label in enumerate(classes)}
    chosen = choose_cases([case for case in cases if case.sha256 in thumbnails], MOST_CARDS)
    cards: list[Card] = []
    seen: set[Pair] = set()
    size = 0
    for case in chosen:
        pair = (places[case.label], places[case.predicted])
        card = _make_card(case, pair, "" if pair in seen else name_anchor(pair), thumbnails)
        size += len(card.thumbnail) + sum(len(near.thumbnail) for near in card.neighbours)
        if size > MOST_THUMBNAIL_BYTES:
            break
        seen.add(pair)
        cards.append(card)
    shown = {card.case.sha256 for card in cards}
    rest = [case for case in cases if case.sha256 not in shown]
    return Gallery(
        cards=tuple(cards),
        lines=tuple(rest[:MOST_LINES]),
        hidden=len(rest[MOST_LINES:]),
        trues=_list_choices((card.pair[0] for card in cards), classes),
        calleds=_list_choices((card.pair[1] for card in cards), classes),
    )


def _make_card(case: BadCase, pair: Pair, anchor: str, thumbnails: Mapping[str, str]) -> Card:
    return Card(
        case=case,
        pair=pair,
        anchor=anchor,
        thumbnail=thumbnails[case.sha256],
        neighbours=tuple(
            Near(near, thumbnails.get(near.sha256, ""), near.label == case.predicted)
            for near in case.neighbours
        ),
    )


def _list_choices(places: Iterable[int], classes: Sequence[str]) -> tuple[Choice, ...]:
    counted = Counter(places)
    return tuple(Choice(place, classes[place], counted[place]) for place in sorted(counted))
