"""Which bad cases the page shows, and as what. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from serving.job.evaluation import BadCase, Neighbour
from spark_jobs.report.matrix import Pair, name_anchor
from spark_jobs.report.several import NOTHING, Sets, list_labels, make_sets

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
    """A bad case with its picture.

    pair: places of its two classes; anchor: of a pair's first. Where a picture may have several
    labels, sets holds those, and each has an anchor.
    """

    case: BadCase
    pair: Pair
    anchor: str
    thumbnail: str
    neighbours: tuple[Near, ...]
    sets: Sets | None = None


@dataclass(frozen=True)
class Choice:
    """An entry of a filter: a class, by its place, and how many cards have it."""

    place: int
    label: str
    cards: int


@dataclass(frozen=True)
class Gallery:
    """cards: with a picture; lines: without one; hidden: how many more report.json has.

    places: of every label that is told. misses, extras: of cards with several labels.
    """

    cards: tuple[Card, ...]
    lines: tuple[BadCase, ...]
    hidden: int
    places: Mapping[str, int]
    trues: tuple[Choice, ...] = ()
    calleds: tuple[Choice, ...] = ()
    misses: tuple[Choice, ...] = ()
    extras: tuple[Choice, ...] = ()

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
    cases: Sequence[BadCase],
    classes: Sequence[str],
    thumbnails: Mapping[str, str],
    thresholds: Mapping[str, float | None] | None = None,
) -> Gallery:
    """Cards for cases that `thumbnails` knows, as far as they fit the page; the rest as lines.

    thresholds: of every label, where a picture may have several; None: it has one.
    """
    told = [label for case in cases for label in (case.label, case.predicted)]
    if thresholds is not None:
        told = [*thresholds, *(one for labels in told for one in list_labels(labels))]
    classes = tuple(dict.fromkeys((*classes, *told)))
    places = {label: place for place, label in enumerate(classes)}
    chosen = choose_cases([case for case in cases if case.sha256 in thumbnails], MOST_CARDS)
    cards, size = [], 0
    for case in chosen:
        card = _make_card(case, thumbnails)
        size += len(card.thumbnail) + sum(len(near.thumbnail) for near in card.neighbours)
        if size > MOST_THUMBNAIL_BYTES:
            break
        cards.append(card)
    shown = {card.case.sha256 for card in cards}
    rest = [case for case in cases if case.sha256 not in shown]
    gallery = Gallery(
        cards=tuple(cards),
        lines=tuple(rest[:MOST_LINES]),
        hidden=len(rest[MOST_LINES:]),
        places=places,
    )
    if thresholds is not None:
        return _tell_sets(gallery, thresholds)
    return _tell_pairs(gallery)


def _tell_pairs(gallery: Gallery) -> Gallery:
    """Each card with its two classes, the first of each pair with the pair's anchor."""
    cards: list[Card] = []
    seen: set[Pair] = set()
    for card in gallery.cards:
        pair = (gallery.places[card.case.label], gallery.places[card.case.predicted])
        cards.append(replace(card, pair=pair, anchor="" if pair in seen else name_anchor(pair)))
        seen.add(pair)
    return replace(
        gallery,
        cards=tuple(cards),
        trues=_list_choices((card.pair[0] for card in cards), gallery.places),
        calleds=_list_choices((card.pair[1] for card in cards), gallery.places),
    )


def _tell_sets(gallery: Gallery, thresholds: Mapping[str, float | None]) -> Gallery:
    """Each card with its labels, and with an anchor of its own."""
    cards, found = [], []
    for number, card in enumerate(gallery.cards):
        sets = make_sets(card.case, gallery.places, thresholds)
        found.append(sets)
        cards.append(replace(card, sets=sets, anchor=f"case-{number}"))
    return replace(
        gallery,
        cards=tuple(cards),
        trues=_list_choices((at for one in found for at in one.place(one.true)), gallery.places),
        misses=_list_choices((at for one in found for at in one.place(one.missed)), gallery.places),
        extras=_list_choices((at for one in found for at in one.place(one.extra)), gallery.places),
    )


def _make_card(case: BadCase, thumbnails: Mapping[str, str]) -> Card:
    return Card(
        case=case,
        pair=(NOTHING, NOTHING),
        anchor="",
        thumbnail=thumbnails[case.sha256],
        neighbours=tuple(
            Near(near, thumbnails.get(near.sha256, ""), near.label == case.predicted)
            for near in case.neighbours
        ),
    )


def _list_choices(chosen: Iterable[int], places: Mapping[str, int]) -> tuple[Choice, ...]:
    counted, labels = Counter(chosen), {place: label for label, place in places.items()}
    return tuple(Choice(at, labels.get(at, ""), counted[at]) for at in sorted(counted))
