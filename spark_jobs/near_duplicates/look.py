"""What a picture looks like, in a few kilobytes: a grey thumbnail, its lowest frequencies, facts.

Made once per sample, ever, and kept in the facts cache; groups and flags are decided from it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from serving.bundle import codec

# Part of the cache key: raise it whenever the same pixels give another Look.
LOOK_VERSION = "1"
# About what a backbone sees; a picture is squashed to a square, so a crop is a scale per axis.
WORKING_SIDE = 256
THUMBNAIL_SIDE = 96
HASH_SIDE = 32
KEPT = 12
FREQUENCIES = KEPT * KEPT

Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """thumbnail: [96, 96] uint8 grey. frequencies: [144] float32, see `low_frequencies`.

    sharpness: variance of the Laplacian over the variance of the picture, without a unit.
    darkest, brightest: 5th and 95th percentile of the grey levels, 0 to 255.
    """

    thumbnail: bytes
    frequencies: bytes
    sharpness: float
    darkest: float
    brightest: float


@functools.cache
def _cosines() -> Grey:
    """First KEPT rows of the orthonormal DCT-II matrix, [KEPT, HASH_SIDE]."""
    k = np.arange(KEPT)[:, None]
    x = np.arange(HASH_SIDE)[None, :]
    rows = np.cos(np.pi * (2 * x + 1) * k / (2 * HASH_SIDE)) * np.sqrt(2 / HASH_SIDE)
    rows[0] /= np.sqrt(2)
    basis: Grey = rows.astype(np.float32)
    return basis


def low_frequencies(grey: Grey) -> Grey:
    """The 12 × 12 lowest coefficients of the DCT-II of a [32, 32] picture, [144].

    The 8 × 8 lowest are what the 64-bit pHash thresholds at their median (Zauner, "Implementation
    and Benchmarking of Perceptual Image Hash Functions", 2010; imagehash.phash). Kept unquantised:
    bits near the median flip under re-encoding, and a fixed camera's pictures differ in none. More
    of them, so that shots of one scene that differ by noise alone stand apart.
    The picture is brought to mean 0 and deviation 1 first, so light and contrast cancel out.
    """
    centred = grey - grey.mean()
    # One grey level of noise must not become the whole picture where there is nothing to see.
    centred /= max(float(centred.std()), 2.0)
    basis = _cosines()
    found: Grey = (basis @ centred @ basis.T).reshape(-1)
    return found


def measure_sharpness(grey: Grey) -> float:
    """Variance of the 4-neighbour Laplacian over the picture's variance.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000; the division makes
    it independent of contrast.
    """
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * inner).var() / max(float(grey.var()), 4.0))


def _scale(grey: Grey, side: int) -> Grey:
    image = Image.fromarray(grey)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), np.float32)


def _read_grey(data: bytes) -> Grey:
    """[256, 256] grey levels. Decoded at twice the size: libjpeg's own scaling is another filter
    than Pillow's, and the same pixels in another wrapping must look the same."""
    grey = Image.fromarray(codec.decode(data, min_side=2 * WORKING_SIDE)).convert("L")
    square = grey.resize((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(square, np.float32)


def look_at(data: bytes) -> Look:
    """Decode and look; raises codec.BadImageError."""
    grey = _read_grey(data)
    thumbnail = _scale(grey, THUMBNAIL_SIDE)
    darkest, brightest = np.percentile(grey, (5, 95))
    return Look(
        thumbnail=np.clip(np.rint(thumbnail), 0, 255).astype(np.uint8).tobytes(),
        frequencies=low_frequencies(_scale(thumbnail, HASH_SIDE)).tobytes(),
        sharpness=measure_sharpness(grey),
        darkest=float(darkest),
        brightest=float(brightest),
    )


def read_thumbnails(contents: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """[n, 96, 96] grey levels."""
    flat = np.frombuffer(b"".join(contents), np.uint8)
    return flat.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
