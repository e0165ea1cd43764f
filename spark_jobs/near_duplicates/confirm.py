"""Confirm that two thumbnails show one and the same shot: align them, look for what differs most.

Under a fixed camera all boards look alike and the defect is the difference, so the largest local
difference decides, never the mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_jobs.near_duplicates.align import (
    BIAS,
    GAIN,
    MAX_GAIN,
    Doubles,
    Mask,
    align,
    gradient,
    median,
    relight,
    warp,
)
from spark_jobs.near_duplicates.look import THUMBNAIL_SIDE

Bytes = npt.NDArray[np.uint8]

# Part of the cache key: raise it whenever the same thumbnails may give another difference.
COMPARE_VERSION = "1"
PAD = ((0, 0), (1, 1), (1, 1))
# Pairs that are compared in one go, finely and coarsely: they fit into a core's cache.
CHUNK = 32
COARSE_CHUNK = 128

# Coarse to fine: the thumbnail's side is divided by these, and so many steps are made.
COARSEST, COARSEST_STEPS = 4, 6
COARSE_SIDE = THUMBNAIL_SIDE // COARSEST
COARSE_RECORD = np.dtype(
    [("picture", "<u2", (COARSE_SIDE, COARSE_SIDE)), ("mean", "<f8"), ("spread", "<f8")]
)
FINER_LEVELS = ((2, 4), (1, 4))
# A crop or a shift may hide so much of one picture from the other.
LEAST_OVERLAP = 0.8
# Hopeless already on the coarsest level: median of the differences, grey levels.
HOPELESS = 12.0
# And the largest of them on any but the finest level, in units of what is allowed there.
HOPELESS_PEAK = 4.0
# Grey levels per pixel of slope at which a difference counts half: resampling blurs edges.
EDGE_SLOPE = 24.0
# A thumbnail's pixel below this is taken to hold no clipped light.
CLIPPED_FROM = 150.0
DIFFERENT = math.inf


@dataclass(frozen=True)
class Coarse:
    """What the coarsest level sees of thumbnails.

    pictures: [n, 24, 24] grey levels. means, spreads: [n], of the whole thumbnails.
    """

    pictures: Doubles
    means: Doubles
    spreads: Doubles

    def take(self, rows: slice) -> "Coarse":
        """Some of them."""
        return Coarse(self.pictures[rows], self.means[rows], self.spreads[rows])


def look_coarsely(thumbnails: Bytes) -> Coarse:
    """[n, 96, 96]."""
    pictures = thumbnails.astype(np.float64)
    return Coarse(
        pictures=_shrink(pictures, COARSEST),
        means=pictures.mean(axis=(1, 2)),
        spreads=pictures.std(axis=(1, 2)),
    )


def pack_coarse(coarse: Coarse) -> npt.NDArray[np.void]:
    """[n] records of COARSE_RECORD, nothing lost: a mean of 4 × 4 grey levels is so many 16ths."""
    records = np.empty(len(coarse.means), COARSE_RECORD)
    records["picture"] = coarse.pictures * COARSEST**2
    records["mean"], records["spread"] = coarse.means, coarse.spreads
    return records


def unpack_coarse(records: Sequence[bytes]) -> Coarse:
    """What was packed."""
    found = np.frombuffer(b"".join(records), COARSE_RECORD)
    return Coarse(found["picture"] / COARSEST**2, found["mean"], found["spread"])


def _keep_clear(inside: Mask) -> Mask:
    """Without what smoothing and interpolation mix with pixels that are not there."""
    clear = inside.copy()
    for _ in range(2):
        wide = np.pad(clear, PAD, constant_values=True)
        clear = wide[:, :-2, 1:-1] & wide[:, 1:-1, 1:-1] & wide[:, 2:, 1:-1]
        clear &= wide[:, 1:-1, :-2] & wide[:, 1:-1, 2:]
    return clear


def _shrink(pictures: Doubles, by: int) -> Doubles:
    """Means of squares; sums of grey levels and their quarters are exact, in whatever order."""
    down = np.add.reduce([pictures[:, place::by] for place in range(by)])
    across: Doubles = np.add.reduce([down[:, :, place::by] for place in range(by)])
    return across / by**2


def _match_light(a: Coarse, b: Coarse) -> Doubles:
    """Gain and bias from spread and mean alone."""
    fits = np.zeros((len(a.means), 6))
    spreads = (a.spreads + 1e-3) / (b.spreads + 1e-3)
    fits[:, GAIN] = np.clip(spreads, 1 / MAX_GAIN, MAX_GAIN)
    fits[:, BIAS] = a.means - fits[:, GAIN] * b.means
    return fits


def _smooth(pictures: Doubles) -> Doubles:
    """Mean of 3 × 3, edges repeated."""
    wide = np.pad(pictures, PAD, mode="edge")
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    smooth: Doubles = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return smooth


def _slope(pictures: Doubles) -> Doubles:
    down, across = gradient(pictures, 1.0)
    steepest: Doubles = np.hypot(down, across)
    return steepest


def _excuse_clipping(a: Doubles, b: Doubles, fits: Doubles) -> Doubles:
    """Grey levels that the lighter picture may have lost, because white cannot get whiter.

    A thumbnail's pixel is a mean of some that were clipped and some that were not, so only a bound
    is known; half of it is excused, and only where the lighter picture is bright and too dark.
    """
    gain, bias = fits[:, GAIN, None, None], fits[:, BIAS, None, None]
    lighter = np.where(gain > 1, a, b)
    too_dark = (gain * b + bias - a) * np.where(gain > 1, 1, -1)
    white = np.where(gain > 1, gain * 255 + bias, 255 + 255 - gain * 255 - bias)
    share = np.clip((lighter - CLIPPED_FROM) / (255 - CLIPPED_FROM), 0, 1)
    excused: Doubles = np.minimum(np.maximum(0, too_dark), np.maximum(0.0, white - 255) * share / 2)
    return excused


def _largest_differences(a: Doubles, b: Doubles, fits: Doubles) -> Doubles:
    warped, inside = warp(b, fits)
    gain, bias = fits[:, GAIN, None, None], fits[:, BIAS, None, None]
    one, other = _smooth(a), _smooth(np.clip(warped, 0, 255))
    # Light that was clipped in one picture only is no difference: compare in both frames.
    forward = one - np.clip(gain * other + bias, 0, 255)
    backward = gain * (np.clip((one - bias) / gain, 0, 255) - other)
    difference = np.minimum(np.abs(forward), np.abs(backward))
    difference = np.maximum(0, difference - _excuse_clipping(one, other, fits))
    # A defect has an edge in one of the two pictures only, so it is not excused by its own.
    edge = np.minimum(_slope(one), gain * _slope(other))
    told = np.where(_keep_clear(inside), difference / (1 + edge / EDGE_SLOPE), 0.0)
    largest: Doubles = told.max(axis=(1, 2))
    return np.where(inside.mean(axis=(1, 2)) < LEAST_OVERLAP, DIFFERENT, largest)


def _is_hopeless(a: Doubles, b: Doubles, fits: Doubles, allowed: float) -> Mask:
    warped, inside = warp(b, fits)
    flat = (len(a), a.shape[1] * a.shape[2])
    off = np.abs(a - relight(warped, fits)).reshape(flat)
    hopeless: Mask = median(off, inside.reshape(flat)) > HOPELESS
    return hopeless | (_largest_differences(a, b, fits) > HOPELESS_PEAK * allowed)


def _start(a: Coarse, b: Coarse, allowed: float) -> tuple[Doubles, Mask]:
    """The coarsest level: fits, and which pairs may still be one shot."""
    fits, kept = align(a.pictures, b.pictures, _match_light(a, b), COARSEST_STEPS)
    kept[kept] = ~_is_hopeless(a.pictures[kept], b.pictures[kept], fits[kept], allowed)
    return fits, kept


def screen_pairs(first: Coarse, second: Coarse, allowed: float) -> Mask:
    """[n]; False where compare_thumbnails would give up on the coarsest level, both ways."""
    found = [np.empty(0, np.bool_)]
    for at in range(0, len(first.means), COARSE_CHUNK):
        a, b = (side.take(slice(at, at + COARSE_CHUNK)) for side in (first, second))
        found.append(_start(a, b, allowed)[1] | _start(b, a, allowed)[1])
    return np.concatenate(found)


def _compare_one_way(
    a: Doubles, b: Doubles, started: tuple[Doubles, Mask], allowed: float
) -> Doubles:
    found, (fits, kept) = np.full(len(a), DIFFERENT), started
    (alive,) = np.nonzero(kept)
    fits = fits[alive]
    for by, most in FINER_LEVELS:
        if not len(alive):
            return found
        small_a, small_b = _shrink(a[alive], by), _shrink(b[alive], by)
        fits, kept = align(small_a, small_b, fits, most)
        if by > 1:
            kept[kept] = ~_is_hopeless(small_a[kept], small_b[kept], fits[kept], allowed)
        alive, fits = alive[kept], fits[kept]
    found[alive] = _largest_differences(a[alive], b[alive], fits)
    return found


def compare_thumbnails(first: Bytes, second: Bytes, allowed: float) -> Doubles:
    """Largest local difference in grey levels of each pair, after the best small shift, scale and
    light.

    Both [n, 96, 96]; their order is of no account; [n]. Infinite where no small shift and scale
    brings the two together, or where they are seen to differ by far more than `allowed` before the
    work is done. Many at a time: most are told apart on the coarsest level, where the
    calls cost more than the work.
    """
    found = [np.empty(0)]
    for at in range(0, len(first), CHUNK):
        a, b = (side[at : at + CHUNK] for side in (first, second))
        one, other = look_coarsely(a), look_coarsely(b)
        fine_a, fine_b = (side.astype(np.float64) for side in (a, b))
        # Enlarging the whole to fit a crop blurs it, the other way round does not.
        both_ways = (
            _compare_one_way(fine_a, fine_b, _start(one, other, allowed), allowed),
            _compare_one_way(fine_b, fine_a, _start(other, one, allowed), allowed),
        )
        found.append(np.minimum(*both_ways))
    return np.concatenate(found)
