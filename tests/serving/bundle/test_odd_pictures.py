"""Odd and broken files: each is decoded as Pillow defines it, or refused with a true reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from serving.bundle.codec import BadImageError, decode
from tests.serving.tiny import encode


def scene(width: int = 90, height: int = 60) -> Image.Image:
    """Smooth, and different in each corner."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).round().astype(np.uint8))


def noise(width: int = 90, height: int = 60) -> Image.Image:
    """Does not compress: every tenth of the file holds pixels."""
    values = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def png(width: int, height: int, depth: int, color: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG of one's own making: kinds that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = [chunk(one[:4], one[4:]) for one in extra]
    ends = [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *body, *ends])


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 90, "progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"quality": 90}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_truncated_files_are_refused(kind: str, options: dict[str, object], tenth: int) -> None:
    """Half a picture under grey must not be learnt from."""
    data = encode(noise(), kind, **options)
    with pytest.raises(BadImageError, match=r"unreadable|not an image"):
        decode(data[: len(data) * tenth // 10])


@pytest.mark.parametrize("lost", [1, 2, 5, 20])
def test_a_jpeg_without_its_very_end(lost: int) -> None:
    data = encode(noise(), "JPEG", quality=90)
    try:
        pixels = decode(data[:-lost])
    except BadImageError as error:
        assert "unreadable" in str(error)
    else:
        assert lost <= 2
        assert (pixels == decode(data)).all()


def test_a_bomb_is_refused_for_its_size() -> None:
    row = b"\0" + b"\0" * 3750
    data = png(30_000, 30_000, 1, 0, row * 100)
    with pytest.raises(BadImageError, match="pixels are more than 64,000,000"):
        decode(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_that_of_pillow(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    data = encode(scene(), kind, exif=exif, **options)
    image = scene()
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    found = decode(data).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() <= (12 if kind == "JPEG" else 0)


MODES = {
    "JPEG": ("CMYK", "L", "1", "YCbCr"),
    "PNG": ("L", "1", "P", "RGBA", "LA"),
    "TIFF": ("CMYK", "L", "1", "P", "RGBA", "LA", "YCbCr", "LAB"),
    "WEBP": ("L", "P", "RGBA"),
    "GIF": ("L", "1", "P", "RGBA", "LA"),
    "BMP": ("L", "1", "P", "RGBA"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(k, mode) for k, modes in MODES.items() for mode in modes]
)
def test_modes_are_converted_as_pillow_does(kind: str, mode: str) -> None:
    data = encode(scene().convert(mode), kind)
    with Image.open(io.BytesIO(data)) as image:
        rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    wanted = np.asarray(Image.alpha_composite(white, rgba).convert("RGB")).astype(int)
    limit = 3 if kind == "JPEG" else 0
    assert np.abs(decode(data).astype(int) - wanted).max() <= limit


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue", "lime")]
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decode(data) == (255, 0, 0)).all()


def test_wide_grey_png() -> None:
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(1, 256)
    data = png(256, 1, 16, 0, b"\0" + values.astype(">u2").tobytes())
    assert (decode(data)[0, :, 0] == np.arange(256)).all()


def test_wide_colour_png() -> None:
    values = (np.arange(256, dtype=np.uint16) * 257).repeat(3)
    data = png(256, 1, 16, 2, b"\0" + values.astype(">u2").tobytes())
    assert (decode(data)[0, :, 1] == np.arange(256)).all()


def test_wide_grey_png_with_a_transparent_value() -> None:
    values = np.array([257 * 100, 257 * 50], dtype=">u2")
    data = png(2, 1, 16, 0, b"\0" + values.tobytes(), b"tRNS" + struct.pack(">H", 257 * 100))
    assert decode(data)[0, :, 0].tolist() == [255, 50]


def test_palette_png_with_graded_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 0, 0])
    for i in range(3):
        image.putpixel((i, 0), i)
    pixels = decode(encode(image, transparency=bytes([0, 128, 255])))
    assert pixels.tolist() == [[[255, 255, 255], [127, 127, 255], [0, 0, 0]]]


def test_float_tiff_is_refused_by_name() -> None:
    """What 1.0 means, white or nearly black, is nowhere defined."""
    with pytest.raises(BadImageError, match="floating-point pixels"):
        decode(encode(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"))


def test_wide_integers_are_refused_by_name() -> None:
    with pytest.raises(BadImageError, match="32-bit pixels"):
        decode(encode(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"))


def test_phones_files_of_several_pictures_give_the_first() -> None:
    data = encode(scene(), "MPO", save_all=True, append_images=[noise()], quality=95)
    assert np.abs(decode(data).astype(int) - np.asarray(scene())).mean() < 3


def test_nonsense_in_exif_is_no_reason_to_refuse() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert decode(encode(scene(), "JPEG", exif=exif)).shape == (60, 90, 3)
    assert decode(encode(scene(), "JPEG", exif=b"Exif\0\0nonsense")).shape == (60, 90, 3)
