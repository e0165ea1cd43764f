"""Small colour pictures for the page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from serving.bundle import codec

QUALITIES = (80, 65, 50, 35, 20)


@contextmanager
def _accept_truncated() -> Iterator[None]:
    # Pillow has this switch for the whole process only; a task of Spark's has its own.
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def make_thumbnail(content: bytes, side: int, most_bytes: int | None = None) -> str:
    """A JPEG as a data: URI, no side longer than `side`; empty where the bytes show nothing.

    A truncated picture shows what is there. The codec's limits hold: nothing larger is decoded.
    """
    try:
        with _accept_truncated():
            image = Image.fromarray(codec.decode(content, min_side=side))
    except codec.BadImageError:
        return ""
    image.thumbnail((side, side))
    encoded = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        encoded = buffer.getvalue()
        if most_bytes is None or len(encoded) <= most_bytes:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode()}"
