"""Confirm that two thumbnails show one and the same shot: align them, look for what differs most.

Under a fixed camera all boards look alike and the defect is the difference, so the largest local
difference decides, never the mean.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# Coarse to fine: the thumbnail's side is divided by these.
LEVELS = ((4, 6), (2, 4), (1, 4))
MAX_SCALE = 0.12
MAX_SHIFT = 0.08
MAX_GAIN = 1.8
# A crop or a shift may hide so much of one picture from the other.
LEAST_OVERLAP = 0.8
# Hopeless already on the coarsest level: median of the differences, grey levels.
HOPELESS = 12.0
# Grey levels per pixel of slope at which a difference counts half: resampling blurs edges.
EDGE_SLOPE = 24.0
SATURATED = 250.0
# A thumbnail's pixel below this is taken to hold no clipped light.
CLIPPED_FROM = 150.0
DIFFERENT = math.inf


@dataclass(frozen=True)
class _Fit:
    """a(x, y) ≈ gain · b((1 + sx)·x + tx, (1 + sy)·y + ty) + bias; x and y from -1 to 1."""

    tx: float = 0.0
    ty: float = 0.0
    sx: float = 0.0
    sy: float = 0.0
    gain: float = 1.0
    bias: float = 0.0

    def is_as_good_as(self, other: "_Fit") -> bool:
        """Apart by less than a tenth of a pixel of 96, and by less than a grey level."""
        moved = max(abs(getattr(self, n) - getattr(other, n)) for n in ("tx", "ty", "sx", "sy"))
        lit = abs(self.gain - other.gain) * 128 + abs(self.bias - other.bias)
        return moved < 0.001 and lit < 0.5

    def is_small(self) -> bool:
        """Still what a crop, a shift or the light can have done."""
        return (
            max(abs(self.sx), abs(self.sy)) < MAX_SCALE
            # In units of half a side.
            and max(abs(self.tx), abs(self.ty)) < 2 * MAX_SHIFT
            and 1 / MAX_GAIN < self.gain < MAX_GAIN
        )


def _axis(side: int) -> Doubles:
    """Centres of the pixels, -1 to 1 being the outer edges."""
    return (2 * np.arange(side) + 1) / side - 1


def _sampling(side: int, scale: float, shift: float) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """[side, side] matrix that samples along one axis, and which results lie inside.

    Cubic convolution, a = -1/2 (Keys, "Cubic convolution interpolation for digital image
    processing", 1981).
    """
    at = ((1 + scale) * _axis(side) + shift + 1) * side / 2 - 0.5
    distance = np.abs(at[:, None] - np.arange(side)[None, :])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    total = weights.sum(axis=1, keepdims=True)
    weights /= np.where(np.abs(total) < 1e-6, 1.0, total)
    return weights, (at >= -0.25) & (at <= side - 0.75)


def _warp(b: Doubles, fit: _Fit) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """The second picture in the first one's frame, and where it has anything to show."""
    across, inside_x = _sampling(b.shape[1], fit.sx, fit.tx)
    down, inside_y = _sampling(b.shape[0], fit.sy, fit.ty)
    return down @ b @ across.T, inside_y[:, None] & inside_x[None, :]


def _keep_clear(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Without what smoothing and interpolation mix with pixels that are not there."""
    clear = inside.copy()
    for _ in range(2):
        wide = np.pad(clear, 1, constant_values=True)
        clear = wide[:-2, 1:-1] & wide[1:-1, 1:-1] & wide[2:, 1:-1]
        clear &= wide[1:-1, :-2] & wide[1:-1, 2:]
    return clear


def _shrink(picture: Doubles, by: int) -> Doubles:
    side = picture.shape[0] // by
    shrunk: Doubles = picture.reshape(side, by, side, by).mean(axis=(1, 3))
    return shrunk


def _gradient(picture: Doubles, step: float) -> tuple[Doubles, Doubles]:
    down, across = np.gradient(picture, step)
    return np.asarray(down), np.asarray(across)


def _improve(a: Doubles, b: Doubles, fit: _Fit) -> _Fit:
    """One step of Gauss-Newton (Lucas and Kanade, 1981), weighted so that a defect pulls little."""
    side = a.shape[0]
    warped, inside = _warp(b, fit)
    slope_y, slope_x = _gradient(warped, 2 / side)
    x, y = np.meshgrid(_axis(side), _axis(side))
    gx, gy = fit.gain * slope_x, fit.gain * slope_y
    residual = a - (fit.gain * warped + fit.bias)
    used = inside & (a < SATURATED) & (warped < SATURATED)
    if used.sum() < 16:
        return fit
    columns = (gx, gy, gx * x, gy * y, warped, np.ones_like(warped))
    jacobian = np.stack([column[used] for column in columns], axis=1)
    wanted = residual[used]
    spread = 1.4826 * float(np.median(np.abs(wanted))) + 0.5
    weights: Doubles = 1 / (1 + (wanted / (2 * spread)) ** 2)
    left: Doubles = jacobian.T @ (jacobian * weights[:, None])
    left[np.diag_indices(6)] *= 1 + 1e-6
    left[np.diag_indices(6)] += 1e-6
    step = np.linalg.solve(left, jacobian.T @ (wanted * weights))
    return _Fit(
        fit.tx + float(step[0]),
        fit.ty + float(step[1]),
        fit.sx + float(step[2]),
        fit.sy + float(step[3]),
        fit.gain + float(step[4]),
        fit.bias + float(step[5]),
    )


def _match_light(a: Doubles, b: Doubles) -> _Fit:
    """Gain and bias from spread and mean alone."""
    gain = min(MAX_GAIN, max(1 / MAX_GAIN, (a.std() + 1e-3) / (b.std() + 1e-3)))
    return _Fit(gain=float(gain), bias=float(a.mean() - gain * b.mean()))


def _smooth(picture: Doubles) -> Doubles:
    """Mean of 3 × 3, edges repeated."""
    wide = np.pad(picture, 1, mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    smooth: Doubles = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
    return smooth


def _slope(picture: Doubles) -> Doubles:
    down, across = _gradient(picture, 1.0)
    steepest: Doubles = np.hypot(down, across)
    return steepest


def _excuse_clipping(a: Doubles, b: Doubles, fit: _Fit) -> Doubles:
    """Grey levels that the lighter picture may have lost, because white cannot get whiter.

    A thumbnail's pixel is a mean of some that were clipped and some that were not, so only a bound
    is known; half of it is excused, and only where the lighter picture is bright and too dark.
    """
    lighter = a if fit.gain > 1 else b
    too_dark = (fit.gain * b + fit.bias - a) * (1 if fit.gain > 1 else -1)
    white = fit.gain * 255 + fit.bias if fit.gain > 1 else 255 + 255 - fit.gain * 255 - fit.bias
    share = np.clip((lighter - CLIPPED_FROM) / (255 - CLIPPED_FROM), 0, 1)
    excused: Doubles = np.minimum(np.maximum(0, too_dark), max(0.0, white - 255) * share / 2)
    return excused


def _largest_difference(a: Doubles, b: Doubles, fit: _Fit) -> float:
    warped, inside = _warp(b, fit)
    if inside.mean() < LEAST_OVERLAP:
        return DIFFERENT
    one, other = _smooth(a), _smooth(np.clip(warped, 0, 255))
    # Light that was clipped in one picture only is no difference: compare in both frames.
    forward = one - np.clip(fit.gain * other + fit.bias, 0, 255)
    backward = fit.gain * (np.clip((one - fit.bias) / fit.gain, 0, 255) - other)
    difference = np.minimum(np.abs(forward), np.abs(backward))
    difference = np.maximum(0, difference - _excuse_clipping(one, other, fit))
    # A defect has an edge in one of the two pictures only, so it is not excused by its own.
    edge = np.minimum(_slope(one), fit.gain * _slope(other))
    return float((difference / (1 + edge / EDGE_SLOPE))[_keep_clear(inside)].max())


def compare_thumbnails(first: Grey, second: Grey) -> float:
    """Largest local difference in grey levels after the best small shift, scale and light.

    Both [96, 96]; their order is of no account. Infinite where no small shift and scale brings the
    two together.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    # Enlarging the whole to fit a crop blurs it, the other way round does not.
    return min(_compare_one_way(a, b), _compare_one_way(b, a))


def _compare_one_way(a: Doubles, b: Doubles) -> float:
    fit = _match_light(a, b)
    for by, steps in LEVELS:
        small_a, small_b = _shrink(a, by), _shrink(b, by)
        for _ in range(steps):
            before, fit = fit, _improve(small_a, small_b, fit)
            if not fit.is_small():
                return DIFFERENT
            if fit.is_as_good_as(before):
                break
        if by == LEVELS[0][0]:
            warped, inside = _warp(small_b, fit)
            off = np.abs(small_a - fit.gain * warped - fit.bias)[inside]
            if not len(off) or np.median(off) > HOPELESS:
                return DIFFERENT
    return _largest_difference(a, b, fit)
