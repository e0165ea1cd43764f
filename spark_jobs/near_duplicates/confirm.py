"""Confirm that two thumbnails show one and the same shot: align them, look for what differs most.

Under a fixed camera all boards look alike and the defect is the difference, so the largest local
difference decides, never the mean.
"""

import math

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Part of the cache key: raise it whenever the same thumbnails may give another difference.
COMPARE_VERSION = "1"
# A fit's columns: a(x, y) ≈ gain · b((1 + sx)·x + tx, (1 + sy)·y + ty) + bias; x, y from -1 to 1.
TX, TY, SX, SY, GAIN, BIAS = range(6)
PAD = ((0, 0), (1, 1), (1, 1))
# Pairs that are compared in one go: they fit into a core's cache.
CHUNK = 32

# Coarse to fine: the thumbnail's side is divided by these.
LEVELS = ((4, 6), (2, 4), (1, 4))
MAX_SCALE = 0.12
MAX_SHIFT = 0.08
MAX_GAIN = 1.8
# A crop or a shift may hide so much of one picture from the other.
LEAST_OVERLAP = 0.8
# Hopeless already on the coarsest level: median of the differences, grey levels.
HOPELESS = 12.0
# And the largest of them on any but the finest level, in units of what is allowed there.
HOPELESS_PEAK = 4.0
# Grey levels per pixel of slope at which a difference counts half: resampling blurs edges.
EDGE_SLOPE = 24.0
SATURATED = 250.0
# A thumbnail's pixel below this is taken to hold no clipped light.
CLIPPED_FROM = 150.0
DIFFERENT = math.inf


def _axis(side: int) -> Doubles:
    """Centres of the pixels, -1 to 1 being the outer edges."""
    return (2 * np.arange(side) + 1) / side - 1


def _sampling(side: int, scale: Doubles, shift: Doubles) -> tuple[Doubles, Mask]:
    """[n, side, side] matrices that sample along one axis, and which results lie inside.

    Cubic convolution, a = -1/2 (Keys, "Cubic convolution interpolation for digital image
    processing", 1981).
    """
    at = ((1 + scale[:, None]) * _axis(side) + shift[:, None] + 1) * side / 2 - 0.5
    distance = np.abs(at[:, :, None] - np.arange(side))
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    total = weights.sum(axis=2, keepdims=True)
    weights /= np.where(np.abs(total) < 1e-6, 1.0, total)
    return weights, (at >= -0.25) & (at <= side - 0.75)


def _warp(b: Doubles, fits: Doubles) -> tuple[Doubles, Mask]:
    """The second pictures in the first ones' frames, and where they have anything to show."""
    across, inside_x = _sampling(b.shape[2], fits[:, SX], fits[:, TX])
    down, inside_y = _sampling(b.shape[1], fits[:, SY], fits[:, TY])
    return down @ b @ across.transpose(0, 2, 1), inside_y[:, :, None] & inside_x[:, None, :]


def _relight(pictures: Doubles, fits: Doubles) -> Doubles:
    lit: Doubles = fits[:, GAIN, None, None] * pictures + fits[:, BIAS, None, None]
    return lit


def _keep_clear(inside: Mask) -> Mask:
    """Without what smoothing and interpolation mix with pixels that are not there."""
    clear = inside.copy()
    for _ in range(2):
        wide = np.pad(clear, PAD, constant_values=True)
        clear = wide[:, :-2, 1:-1] & wide[:, 1:-1, 1:-1] & wide[:, 2:, 1:-1]
        clear &= wide[:, 1:-1, :-2] & wide[:, 1:-1, 2:]
    return clear


def _shrink(pictures: Doubles, by: int) -> Doubles:
    side = pictures.shape[1] // by
    shrunk: Doubles = pictures.reshape(-1, side, by, side, by).mean(axis=(2, 4))
    return shrunk


def _gradient(pictures: Doubles, step: float) -> tuple[Doubles, Doubles]:
    down, across = np.gradient(pictures, step, axis=(1, 2))
    return np.asarray(down), np.asarray(across)


def _median(values: Doubles, used: Mask) -> Doubles:
    """Of each row's used values; infinite where none is used."""
    ordered = np.sort(np.where(used, values, np.inf), axis=1)
    count = used.sum(axis=1)[:, None]
    middle = np.concatenate([np.maximum(count - 1, 0) // 2, count // 2], axis=1)
    median: Doubles = np.take_along_axis(ordered, middle, axis=1).mean(axis=1)
    return median


def _improve(a: Doubles, b: Doubles, fits: Doubles) -> Doubles:
    """One step of Gauss-Newton (Lucas and Kanade, 1981), weighted so that a defect pulls little."""
    count, side = a.shape[:2]
    warped, inside = _warp(b, fits)
    slope_y, slope_x = _gradient(warped, 2 / side)
    x, y = np.meshgrid(_axis(side), _axis(side))
    gain = fits[:, GAIN, None, None]
    gx, gy = gain * slope_x, gain * slope_y
    wanted = (a - _relight(warped, fits)).reshape(count, -1)
    used = (inside & (a < SATURATED) & (warped < SATURATED)).reshape(count, -1)
    columns = (gx, gy, gx * x, gy * y, warped, np.ones_like(warped))
    jacobian = np.stack([column.reshape(count, -1) for column in columns], axis=1)
    enough = used.sum(axis=1) >= 16
    spread = 1.4826 * np.where(enough, _median(np.abs(wanted), used), 0.0) + 0.5
    weights = used / (1 + (wanted / (2 * spread[:, None])) ** 2)
    weighted = jacobian * weights[:, None, :]
    left = weighted @ jacobian.transpose(0, 2, 1)
    left[:, range(6), range(6)] *= 1 + 1e-6
    left[:, range(6), range(6)] += 1e-6
    steps = np.linalg.solve(left, weighted @ wanted[:, :, None])[:, :, 0]
    improved: Doubles = fits + np.where(enough[:, None], steps, 0.0)
    return improved


def _match_light(a: Doubles, b: Doubles) -> Doubles:
    """Gain and bias from spread and mean alone."""
    fits = np.zeros((len(a), 6))
    spreads = (a.std(axis=(1, 2)) + 1e-3) / (b.std(axis=(1, 2)) + 1e-3)
    fits[:, GAIN] = np.clip(spreads, 1 / MAX_GAIN, MAX_GAIN)
    fits[:, BIAS] = a.mean(axis=(1, 2)) - fits[:, GAIN] * b.mean(axis=(1, 2))
    return fits


def _is_settled(fits: Doubles, before: Doubles) -> Mask:
    """Apart by less than a tenth of a pixel of 96, and by less than a grey level."""
    moved = np.abs(fits - before)
    lit = moved[:, GAIN] * 128 + moved[:, BIAS]
    settled: Mask = (moved[:, :GAIN].max(axis=1) < 0.001) & (lit < 0.5)
    return settled


def _is_small(fits: Doubles) -> Mask:
    """Still what a crop, a shift or the light can have done; a shift is in half sides."""
    small: Mask = (
        (np.abs(fits[:, [SX, SY]]).max(axis=1) < MAX_SCALE)
        & (np.abs(fits[:, [TX, TY]]).max(axis=1) < 2 * MAX_SHIFT)
        & (fits[:, GAIN] > 1 / MAX_GAIN)
        & (fits[:, GAIN] < MAX_GAIN)
    )
    return small


def _smooth(pictures: Doubles) -> Doubles:
    """Mean of 3 × 3, edges repeated."""
    wide = np.pad(pictures, PAD, mode="edge")
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    smooth: Doubles = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return smooth


def _slope(pictures: Doubles) -> Doubles:
    down, across = _gradient(pictures, 1.0)
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
    warped, inside = _warp(b, fits)
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


def _align(a: Doubles, b: Doubles, fits: Doubles, most: int) -> tuple[Doubles, Mask]:
    """At most so many steps on one level; the fits, and which of them stayed small."""
    fits, small, moving = fits.copy(), np.ones(len(a), bool), np.arange(len(a))
    for _ in range(most):
        before = fits[moving]
        fits[moving] = _improve(a[moving], b[moving], before)
        small[moving] = _is_small(fits[moving])
        moving = moving[small[moving] & ~_is_settled(fits[moving], before)]
        if not len(moving):
            break
    return fits, small


def _is_hopeless(a: Doubles, b: Doubles, fits: Doubles, allowed: float) -> Mask:
    warped, inside = _warp(b, fits)
    flat = (len(a), a.shape[1] * a.shape[2])
    off = np.abs(a - _relight(warped, fits)).reshape(flat)
    hopeless: Mask = _median(off, inside.reshape(flat)) > HOPELESS
    return hopeless | (_largest_differences(a, b, fits) > HOPELESS_PEAK * allowed)


def _compare_one_way(a: Doubles, b: Doubles, allowed: float) -> Doubles:
    found = np.full(len(a), DIFFERENT)
    alive, fits = np.arange(len(a)), _match_light(a, b)
    for by, most in LEVELS:
        small_a, small_b = _shrink(a[alive], by), _shrink(b[alive], by)
        fits, kept = _align(small_a, small_b, fits, most)
        if by > 1:
            kept[kept] = ~_is_hopeless(small_a[kept], small_b[kept], fits[kept], allowed)
        alive, fits = alive[kept], fits[kept]
        if not len(alive):
            return found
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
    found = []
    for at in range(0, len(first), CHUNK):
        a, b = (side[at : at + CHUNK].astype(np.float64) for side in (first, second))
        # Enlarging the whole to fit a crop blurs it, the other way round does not.
        both_ways = _compare_one_way(a, b, allowed), _compare_one_way(b, a, allowed)
        found.append(np.minimum(*both_ways))
    return np.concatenate(found) if found else np.empty(0)
