"""Pictures changed and mixed at random, so that a network cannot learn them by heart.

Draws are made for a whole global batch: the same whatever the number of ranks that share it.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import paddle

from serving.bundle.manifest import Preprocessing
from serving.job.search import Recipe
from training.tasks.protocol import Integers

Numbers = npt.NDArray[np.float64]

# With all of an augmentation of 1. Crops: Szegedy et al. 2015, section 6.
SMALLEST_AREA = 0.08
LARGEST_RATIO = 4 / 3
FLIPPED = 0.5
COLOUR_SPREAD = 0.4
# Of half of the batches, parts of the pictures are cut in instead.
CUT_SHARE = 0.5
# How bright red, green and blue are: ITU-R BT.601, as Pillow and torchvision take them.
BRIGHTNESS = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Changes:
    """How each of n pictures is changed.

    crops [n, 4]: the part that is kept and enlarged: left, top, width and height as shares of the
    picture. flipped [n]: left for right. brightness, contrast, saturation [n]: factors. active:
    whether there is any change at all.
    """

    crops: Numbers
    flipped: npt.NDArray[np.bool_]
    brightness: Numbers
    contrast: Numbers
    saturation: Numbers
    active: bool = True

    def select(self, places: Integers) -> Self:
        """Those of some of the pictures, by their places in the batch."""
        return type(self)(
            self.crops[places],
            self.flipped[places],
            self.brightness[places],
            self.contrast[places],
            self.saturation[places],
            self.active,
        )


def draw(recipe: Recipe, count: int, chance: np.random.Generator) -> Changes:
    """Draw the changes of a global batch; how strong they are is the recipe's augmentation."""
    strength = recipe.augmentation
    # As 1 and 1 - x: without an augmentation, exactly nothing is changed.
    area = 1 - chance.uniform(0, 1 - SMALLEST_AREA, count) * strength
    # A part as wide or as high as the whole picture ends what its ratio may be.
    furthest = np.minimum(strength * math.log(LARGEST_RATIO), -np.log(area))
    ratio = np.exp(chance.uniform(-1, 1, count) * furthest)
    width, height = np.sqrt(area * ratio).clip(max=1), np.sqrt(area / ratio).clip(max=1)
    left, top = chance.random((2, count)) * (1 - np.stack([width, height]))
    flipped = chance.random(count) < FLIPPED * strength
    brightness, contrast, saturation = (
        1 + chance.uniform(-COLOUR_SPREAD, COLOUR_SPREAD, (3, count)) * strength
    )
    crops = np.stack([left, top, width, height], axis=1)
    return Changes(crops, flipped, brightness, contrast, saturation, active=strength > 0)


@paddle.no_grad()
def apply(pictures: paddle.Tensor, changes: Changes, preprocessing: Preprocessing) -> paddle.Tensor:
    """Change pictures [n, 3, side, side], each value (v - mean) / scale, in and out.

    No value leaves the range of pictures; a picture's result does not depend on its neighbours.
    """
    if not changes.active:
        return pictures
    return _colour(_crop(pictures, changes), changes, preprocessing)


def _crop(pictures: paddle.Tensor, changes: Changes) -> paddle.Tensor:
    """Enlarge parts linearly; exact where the part is the whole picture."""
    side = pictures.shape[-1]
    left, top, width, height = changes.crops.T
    left = np.where(changes.flipped, left + width, left)
    width = np.where(changes.flipped, -width, width)
    rows = _weigh(top, height, side)
    columns = _weigh(left, width, side).transpose([0, 1, 3, 2])
    return rows @ pictures @ columns


def _weigh(start: Numbers, length: Numbers, side: int) -> paddle.Tensor:
    """How much each pixel of a line counts for each of the enlarged one [n, 1, side, side]."""
    steps = (np.arange(side) + 0.5) / side
    places = (start[:, None] + length[:, None] * steps) * side - 0.5
    wanted = paddle.to_tensor(places.clip(0, side - 1).astype(np.float32))
    there = paddle.arange(side, dtype="float32")
    return paddle.nn.functional.relu(1 - (wanted[:, None, :, None] - there).abs())


def _colour(
    pictures: paddle.Tensor, changes: Changes, preprocessing: Preprocessing
) -> paddle.Tensor:
    """Brightness, then contrast around a picture's mean grey, then saturation."""
    black = (0 - preprocessing.mean) / preprocessing.scale
    white = (255 - preprocessing.mean) / preprocessing.scale
    parts = paddle.to_tensor(np.array(BRIGHTNESS, np.float32).reshape(1, 3, 1, 1))
    light = pictures - black
    grey = (light * parts).sum(axis=1, keepdim=True)
    mean = grey.mean(axis=[2, 3], keepdim=True)
    brightness, contrast, saturation = (
        paddle.to_tensor(factor.astype(np.float32).reshape(-1, 1, 1, 1))
        for factor in (changes.brightness, changes.contrast, changes.saturation)
    )
    # The three steps in one: the mean grey has no colour, and grey stays grey.
    factor = brightness * contrast
    common = factor * (1 - saturation) * grey + brightness * (1 - contrast) * mean
    return (factor * saturation * light + common + black).clip(black, white)


@dataclass(frozen=True)
class Mix:
    """How each of n pictures is mixed with another of its batch.

    partners [n]: the other's place in the global batch. cuts [n, 4]: the part that is the partner's
    alone: left, top, right and bottom as shares of the picture. Where there are none, the two are
    laid over each other: shares [n]: of the picture itself.
    """

    partners: Integers
    shares: Numbers
    cuts: Numbers | None = None

    def select(self, places: Integers) -> Self:
        """Those of some of the pictures, by their places in the batch."""
        cuts = None if self.cuts is None else self.cuts[places]
        return type(self)(self.partners[places], self.shares[places], cuts)


def draw_mix(recipe: Recipe, count: int, chance: np.random.Generator) -> Mix | None:
    """Draw how a global batch is mixed; None where the recipe does not mix.

    Laid over each other as in mixup (Zhang et al. 2018), or cut in as in CutMix (Yun et al. 2019).
    """
    if not recipe.mixup:
        return None
    is_cut = chance.random() < CUT_SHARE
    partners: Integers = chance.permutation(count)
    shares = chance.beta(recipe.mixup, recipe.mixup, count)
    if not is_cut:
        return Mix(partners, shares)
    half = np.sqrt(1 - shares) / 2
    centres = chance.random((2, count))
    cuts = np.stack([*(centres - half), *(centres + half)], axis=1).clip(0, 1)
    return Mix(partners, shares, cuts)


@paddle.no_grad()
def mix(
    pictures: paddle.Tensor, partners: paddle.Tensor, how: Mix
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Mix pictures with their partners, both [n, 3, side, side]; and each one's own share [n].

    The loss is share · that of its own target + (1 - share) · that of its partner's.
    """
    if how.cuts is None:
        shares = paddle.to_tensor(how.shares.astype(np.float32))
        own = shares.reshape([-1, 1, 1, 1])
    else:
        own = _keep_outside(how.cuts, pictures.shape[-1])
        shares = own.mean(axis=[1, 2, 3])
    return own * pictures + (1 - own) * partners, shares


def _keep_outside(cuts: Numbers, side: int) -> paddle.Tensor:
    """1 for each pixel outside of a cut, 0 inside [n, 1, side, side]."""
    edges = (cuts * side).round()[:, :, None]
    there = np.arange(side)
    across = (edges[:, 0] <= there) & (there < edges[:, 2])
    down = (edges[:, 1] <= there) & (there < edges[:, 3])
    inside = down[:, None, :, None] & across[:, None, None, :]
    return paddle.to_tensor((~inside).astype(np.float32))
