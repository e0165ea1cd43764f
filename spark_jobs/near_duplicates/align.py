"""Bring two pictures together by a small shift, scale per axis and change of light."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# A fit's columns: a(x, y) ≈ gain · b((1 + sx)·x + tx, (1 + sy)·y + ty) + bias; x, y from -1 to 1.
TX, TY, SX, SY, GAIN, BIAS = range(6)
MAX_SCALE = 0.12
MAX_SHIFT = 0.08
MAX_GAIN = 1.8
SATURATED = 250.0


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


def warp(b: Doubles, fits: Doubles) -> tuple[Doubles, Mask]:
    """The second pictures in the first ones' frames, and where they have anything to show."""
    across, inside_x = _sampling(b.shape[2], fits[:, SX], fits[:, TX])
    down, inside_y = _sampling(b.shape[1], fits[:, SY], fits[:, TY])
    return down @ b @ across.transpose(0, 2, 1), inside_y[:, :, None] & inside_x[:, None, :]


def relight(pictures: Doubles, fits: Doubles) -> Doubles:
    """In the light of the first ones."""
    lit: Doubles = fits[:, GAIN, None, None] * pictures + fits[:, BIAS, None, None]
    return lit


def gradient(pictures: Doubles, step: float) -> tuple[Doubles, Doubles]:
    """Downwards and across, of pixels that are so far apart."""
    down, across = np.gradient(pictures, step, axis=(1, 2))
    return np.asarray(down), np.asarray(across)


def median(values: Doubles, used: Mask) -> Doubles:
    """Of each row's used values; infinite where none is used."""
    ordered = np.sort(np.where(used, values, np.inf), axis=1)
    count = used.sum(axis=1)[:, None]
    middle = np.concatenate([np.maximum(count - 1, 0) // 2, count // 2], axis=1)
    median: Doubles = np.take_along_axis(ordered, middle, axis=1).mean(axis=1)
    return median


def _improve(a: Doubles, b: Doubles, fits: Doubles) -> Doubles:
    """One step of Gauss-Newton (Lucas and Kanade, 1981), weighted so that a defect pulls little."""
    count, side = a.shape[:2]
    warped, inside = warp(b, fits)
    slope_y, slope_x = gradient(warped, 2 / side)
    x, y = np.meshgrid(_axis(side), _axis(side))
    gain = fits[:, GAIN, None, None]
    gx, gy = gain * slope_x, gain * slope_y
    wanted = (a - relight(warped, fits)).reshape(count, -1)
    used = (inside & (a < SATURATED) & (warped < SATURATED)).reshape(count, -1)
    columns = (gx, gy, gx * x, gy * y, warped, np.ones_like(warped))
    jacobian = np.stack([column.reshape(count, -1) for column in columns], axis=1)
    enough = used.sum(axis=1) >= 16
    spread = 1.4826 * np.where(enough, median(np.abs(wanted), used), 0.0) + 0.5
    weights = used / (1 + (wanted / (2 * spread[:, None])) ** 2)
    weighted = jacobian * weights[:, None, :]
    left = weighted @ jacobian.transpose(0, 2, 1)
    left[:, range(6), range(6)] *= 1 + 1e-6
    left[:, range(6), range(6)] += 1e-6
    steps = np.linalg.solve(left, weighted @ wanted[:, :, None])[:, :, 0]
    improved: Doubles = fits + np.where(enough[:, None], steps, 0.0)
    return improved


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


def align(a: Doubles, b: Doubles, fits: Doubles, most: int) -> tuple[Doubles, Mask]:
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
