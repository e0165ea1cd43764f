"""A JPEG like a phone's after it was made smaller: 25 kB."""

import io

import numpy as np
from PIL import Image

WANTED_BYTES = 25_000
SIZE = (480, 360)


def make_jpeg() -> bytes:
    """Seeded, smooth and grainy; the quality is the one that comes nearest to WANTED_BYTES."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))
    grain = rng.normal(0, 10, smooth.shape)
    image = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    made = [_encode(image, quality) for quality in range(40, 96, 3)]
    return min(made, key=lambda data: abs(len(data) - WANTED_BYTES))


def _encode(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
