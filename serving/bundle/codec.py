"""Bytes → array, scores → answer: the one place where preprocessing is written.

Spark decodes with it, training feeds from it, the server answers with it.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from serving.bundle.manifest import Preprocessing, Resize

# Part of every cache key: raise it whenever the same bytes give other pixels.
CODEC_VERSION = "2"
# Below Pillow's own bomb warning (89 million): decoded with transparency it takes 0.8 GB.
MAX_PIXELS = 64_000_000
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")

Pixels = npt.NDArray[np.uint8]
Batch = npt.NDArray[np.float32]


class BadImageError(ValueError):
    """These bytes are no picture that can be used; the text says why."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known before the pixels are decoded."""

    format: str
    width: int
    height: int


def _open(data: bytes) -> Image.Image:
    if not data:
        raise BadImageError("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise BadImageError(f"not an image (allowed: {', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise BadImageError(f"its pixels are more than {MAX_PIXELS:,} in all") from None
    except Exception as error:  # Pillow's parsers leak whatever broken bytes make them raise
        raise BadImageError(f"unreadable header: {error}") from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError(
            f"{image.width} × {image.height} pixels are more than {MAX_PIXELS:,} in all"
        )
    return image


def inspect(data: bytes) -> ImageFacts:
    """Read the header only; raises BadImageError."""
    image = _open(data)
    return ImageFacts(image.format or "", image.width, image.height)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, ValueError, SyntaxError, TypeError, LookupError, struct.error):
        return 1


def _narrow(wide: Image.Image) -> Image.Image:
    """16 bits to 8: Pillow clips such values instead of scaling them."""
    values = np.asarray(wide, dtype=np.float64)
    grey = Image.fromarray(np.clip(values / 257.0, 0, 255).round().astype(np.uint8))
    hidden = wide.info.get("transparency")
    if isinstance(hidden, int):
        # One 16-bit value stands for transparent; its 8-bit neighbours do not.
        grey.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return grey


def _flatten(image: Image.Image) -> Image.Image:
    """First frame, upright, transparency on white, RGB."""
    image.seek(0)
    if image.mode in ("I", "F"):
        kind = "32-bit" if image.mode == "I" else "floating-point"
        # Which value is white is nowhere defined.
        raise BadImageError(f"{kind} pixels: save it with 8 or 16 bits per channel")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = _narrow(upright)
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return upright.convert("RGB")


def decode(data: bytes, min_side: int = 0) -> Pixels:
    """Decode to [height, width, 3] RGB.

    A JPEG may come out at a half, quarter or eighth of its size, never with a side shorter than
    min_side (0: full size). Raises BadImageError.
    """
    image = _open(data)
    if image.format == "JPEG" and image.mode in ("RGB", "L") and _orientation(image) == 1:
        options: dict[str, Any] = {}
        if 0 < min_side < min(image.size):
            options = {"min_height": min_side, "min_width": min_side, "min_factor": 1.5}
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(data, colorspace="RGB", **options)
            return pixels
        except ValueError:
            pass  # libjpeg-turbo is stricter than Pillow: let Pillow have the last word.
    try:
        return np.asarray(_flatten(image), dtype=np.uint8)
    except BadImageError:
        raise
    except Exception as error:  # as in _open
        raise BadImageError(f"unreadable: {error}") from error


def _crop(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size, side = preprocessing.size, min(image.size) * preprocessing.crop_ratio
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _squash(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    return image.resize((preprocessing.size, preprocessing.size), Image.Resampling.BICUBIC)


def _letterbox(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size, grey = preprocessing.size, round(preprocessing.mean)
    scale = size / max(image.size)
    # A hair must not vanish.
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (size, size), (grey, grey, grey))
    scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(scaled, ((size - width) // 2, (size - height) // 2))
    return square


_FITS: dict[Resize, Callable[[Image.Image, Preprocessing], Image.Image]] = {
    "crop": _crop,
    "squash": _squash,
    "letterbox": _letterbox,
}


def prepare(data: bytes, preprocessing: Preprocessing) -> Pixels:
    """Decode and fit to [size, size, 3] as the preprocessing says; raises BadImageError."""
    cut = preprocessing.crop_ratio if preprocessing.resize == "crop" else 1
    pixels = decode(data, min_side=round(preprocessing.size / cut))
    return np.asarray(_FITS[preprocessing.resize](Image.fromarray(pixels), preprocessing))


def to_batch(pictures: list[Pixels], preprocessing: Preprocessing) -> Batch:
    """Stack prepared pictures into the network's input, [n, 3, size, size] float32."""
    stacked = np.stack(pictures).astype(np.float32)
    stacked -= np.float32(preprocessing.mean)
    stacked /= np.float32(preprocessing.scale)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


def rank_labels(
    scores: npt.NDArray[np.float32], classes: tuple[str, ...], top: int | None = None
) -> list[tuple[str, float]]:
    """Labels with their scores, best first; ties keep the order of the classes."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [(classes[i], float(scores[i])) for i in order]
