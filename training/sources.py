"""What a network learns from: features in memory, maps or pictures on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import paddle

from serving.bundle import codec
from serving.bundle.codec import Pixels
from serving.bundle.manifest import Preprocessing
from serving.job.search import Recipe
from training import augmentation
from training.batches import Batch
from training.tasks.protocol import Floats, Integers


@dataclass(frozen=True)
class Given:
    """One rank's share of a step: inputs [n, …].

    others: rows of the samples that were mixed in; share: of the loss that stays a sample's own,
    [n]. None where nothing is mixed.
    """

    inputs: paddle.Tensor
    others: Integers | None = None
    share: paddle.Tensor | None = None


class Source(Protocol):
    """Inputs of n samples. costly: a sample takes long, so ranks share the judged ones, too."""

    costly: bool

    def describe(self) -> bytes:
        """All that decides what is in it."""

    def pick(self, rows: Integers) -> paddle.Tensor:
        """Some rows as they are."""

    def draw(self, batch: Batch, recipe: Recipe, seeds: Sequence[int]) -> Given:
        """A batch as it is learned from; seeds: of all chance, the same on every rank."""


class Features:
    """Vectors [n, d]."""

    costly = False

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix

    @cached_property
    def _tensor(self) -> paddle.Tensor:
        return paddle.to_tensor(self.matrix)

    def describe(self) -> bytes:
        """See Source."""
        return self.matrix.tobytes()

    def pick(self, rows: Integers) -> paddle.Tensor:
        """See Source."""
        picked: paddle.Tensor = paddle.gather(self._tensor, paddle.to_tensor(rows))
        return picked

    def draw(self, batch: Batch, *_: object) -> Given:
        """See Source."""
        return Given(self.pick(batch.rows))


class Maps:
    """Maps [n, c, h, w]: they stay on disk, and may be larger than the memory."""

    costly = True

    def __init__(self, maps: Floats) -> None:
        self._maps = maps

    def describe(self) -> bytes:
        """Gigabytes, perhaps; their file's name tells what is in it."""
        return str(getattr(self._maps, "filename", "")).encode()

    def pick(self, rows: Integers) -> paddle.Tensor:
        """See Source."""
        return paddle.to_tensor(np.asarray(self._maps[rows]))

    def draw(self, batch: Batch, *_: object) -> Given:
        """See Source."""
        return Given(self.pick(batch.rows))


class Pictures:
    """Pixels [n, side, side, 3] on disk; learned from as the recipe changes and mixes them."""

    costly = True

    def __init__(self, pixels: Pixels, preprocessing: Preprocessing) -> None:
        self._pixels, self._preprocessing = pixels, preprocessing

    def describe(self) -> bytes:
        """See Maps."""
        return str(getattr(self._pixels, "filename", "")).encode()

    def pick(self, rows: Integers) -> paddle.Tensor:
        """Pictures [n, 3, side, side], normalised."""
        return paddle.to_tensor(codec.to_batch(list(self._pixels[rows]), self._preprocessing))

    def draw(self, batch: Batch, recipe: Recipe, seeds: Sequence[int]) -> Given:
        """See Source; what is drawn is drawn for the whole batch, whatever the share of it."""
        chance = np.random.default_rng(list(seeds))
        changes = augmentation.draw(recipe, len(batch.whole), chance)
        how = augmentation.draw_mix(recipe, len(batch.whole), chance)

        def change(places: Integers) -> paddle.Tensor:
            pictures = self.pick(batch.whole[places])
            return augmentation.apply(pictures, changes.select(places), self._preprocessing)

        if how is None:
            return Given(change(batch.places))
        mine = how.select(batch.places)
        pictures, share = augmentation.mix(change(batch.places), change(mine.partners), mine)
        return Given(pictures, batch.whole[mine.partners], share)
