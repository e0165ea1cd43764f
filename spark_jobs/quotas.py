"""How samples without a side are spread over the sides, so that each class fills its quotas. Pure.

One label a sample: large blocks first, for small ones can even out what they leave. Several: what
Sechidis, Tsoumakas and Vlahavas call iterative stratification (On the Stratification of Multi-label
Data, 2011): the rarest class is placed first, where it lacks most, for what is common can be evened
out by what comes later.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.bundle.manifest import SEVERAL, Task
from spark_jobs.spec import Side


@dataclass(frozen=True)
class Block:
    """Samples that go to one side together. classes: of them; rank: decides where all is equal."""

    samples: int
    classes: Counter[str]
    rank: str


class _Filling:
    """Blocks that wait, and what lies on the sides by now."""

    def __init__(
        self,
        blocks: Sequence[Block],
        quotas: Mapping[Side, float],
        counts: Mapping[str, Mapping[Side, int]],
        totals: Mapping[Side, int],
    ) -> None:
        self.blocks, self.quotas = blocks, quotas
        waiting: Counter[str] = Counter()
        for block in blocks:
            waiting.update(block.classes)
        self.counts = {
            name: {side: counts.get(name, {}).get(side, 0) for side in quotas} for name in waiting
        }
        self.totals = {side: totals.get(side, 0) for side in quotas}
        # Samples that each class, and all together, will have on these sides.
        self.ends = {n: sum(self.counts[n].values()) + count for n, count in waiting.items()}
        self.end = sum(self.totals.values()) + sum(block.samples for block in blocks)
        self.left = Counter(name for block in blocks for name in block.classes)
        self.found: dict[int, Side] = {}

    def put(self, place: int, side: Side) -> None:
        block = self.blocks[place]
        for name, size in block.classes.items():
            self.counts[name][side] += size
        self.totals[side] += block.samples
        self.left.subtract(block.classes.keys())
        self.found[place] = side

    def pick_for_all(self, block: Block) -> Side:
        """The side most below its quota, over all classes of the block.

        The last blocks of a class go to sides that are still empty.
        """
        candidates = list(self.quotas)
        for name, _ in block.classes.most_common():
            empty = [side for side in self.quotas if not self.counts[name][side]]
            if empty and len(empty) >= self.left[name]:
                candidates = empty
                break

        def lack(side: Side) -> tuple[float, str]:
            below = 0.0
            for name, size in block.classes.items():
                total = sum(self.counts[name].values()) + size
                below += size * (self.quotas[side] * total - self.counts[name][side])
            return (round(below, 9), _rank(block, side))

        return max(candidates, key=lack)

    def pick_for_one(self, block: Block, name: str) -> Side:
        """The side that lacks most of this class; where several do, most samples.

        The last blocks of any of its classes go to sides that are still empty, the rarest class
        first, as long as these agree.
        """
        candidates = list(self.quotas)
        for other in sorted(block.classes, key=lambda one: (self.left[one], one)):
            empty = [side for side in self.quotas if not self.counts[other][side]]
            fitting = [side for side in candidates if side in empty]
            if fitting and len(empty) >= self.left[other]:
                candidates = fitting

        def lack(side: Side) -> tuple[float, float, str]:
            quota = self.quotas[side]
            own = quota * self.ends[name] - self.counts[name][side]
            everything = quota * self.end - self.totals[side]
            return (round(own, 9), round(everything, 9), _rank(block, side))

        return max(candidates, key=lack)


def _rank(block: Block, side: Side) -> str:
    return hashlib.sha256(f"{block.rank}/{side}".encode()).hexdigest()


def _fill_by_size(filling: _Filling) -> None:
    blocks = filling.blocks
    for i in sorted(range(len(blocks)), key=lambda i: (-blocks[i].samples, blocks[i].rank)):
        filling.put(i, filling.pick_for_all(blocks[i]))


def _order(block: Block, name: str) -> tuple[int, int, str]:
    """Large ones first, then those with other classes: what leaves most choice comes last."""
    return (-block.classes[name], -len(block.classes), block.rank)


def _fill_by_class(filling: _Filling) -> None:
    queues: dict[str, list[int]] = {}
    for place, block in enumerate(filling.blocks):
        for name in block.classes:
            queues.setdefault(name, []).append(place)
    while queues:
        # By blocks, for these are what can still be moved.
        rarest = min(queues, key=lambda name: (filling.left[name], name))
        waiting = [i for i in queues.pop(rarest) if i not in filling.found]
        for i in sorted(waiting, key=lambda i: _order(filling.blocks[i], rarest)):
            filling.put(i, filling.pick_for_one(filling.blocks[i], rarest))


def place_blocks(
    blocks: Sequence[Block],
    quotas: Mapping[Side, float],
    counts: Mapping[str, Mapping[Side, int]],
    totals: Mapping[Side, int],
    task: Task,
) -> dict[int, Side]:
    """Place of each block among them → its side, in the order in which they were placed.

    quotas: of the sides that the blocks may go to; their sum is 1. counts (class → side → samples),
    totals (side → samples): of what has its side already.
    """
    filling = _Filling(blocks, quotas, counts, totals)
    if task == SEVERAL:
        _fill_by_class(filling)
    else:
        _fill_by_size(filling)
    return filling.found
