"""Every kind of picture that people have, and every kind of file that is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.bundle.codec import BadImageError, decode, inspect, prepare, rank_labels, to_batch
from serving.bundle.manifest import Preprocessing
from tests.serving.tiny import encode

RED, WHITE = (255, 0, 0), (255, 255, 255)


def gradient(width: int, height: int) -> Image.Image:
    """Smooth, so that scaling loses nothing: x in red, y in green."""
    x = np.linspace(0, 255, width, dtype=np.float64)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height, dtype=np.float64)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).round().astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_lossless_formats_give_the_same_pixels(kind: str) -> None:
    image = Image.new("RGB", (7, 5), RED)
    pixels = decode(encode(image, kind))
    assert pixels.shape == (5, 7, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == RED).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(kind: str) -> None:
    pixels = decode(encode(gradient(64, 48), kind, quality=95)).astype(int)
    assert np.abs(pixels - np.asarray(gradient(64, 48))).mean() < 4


def test_grey_and_bilevel_become_rgb() -> None:
    for mode, value in (("L", 200), ("1", 1)):
        pixels = decode(encode(Image.new(mode, (4, 4), value)))
        assert pixels.shape == (4, 4, 3)
        assert (pixels == (200 if mode == "L" else 255)).all()


def test_grey_jpeg_becomes_rgb() -> None:
    pixels = decode(encode(Image.new("L", (16, 16), 120), "JPEG"))
    assert pixels.shape == (16, 16, 3)
    assert (np.abs(pixels.astype(int) - 120) <= 1).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    wide = np.full((4, 4), 257 * 100, dtype=np.uint16)
    assert (decode(encode(Image.fromarray(wide))) == 100).all()


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*RED, 255))
    assert decode(encode(image)).tolist() == [[list(WHITE), list(RED)]]


def test_grey_with_alpha_lies_on_white() -> None:
    assert (decode(encode(Image.new("LA", (2, 2), (0, 0)))) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entry_lies_on_white(kind: str) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((1, 0), 1)
    pixels = decode(encode(image, kind, transparency=0))
    assert pixels.tolist() == [[list(WHITE), [0, 0, 255]]]


def test_transparent_colour_key_lies_on_white() -> None:
    image = Image.new("RGB", (1, 1), RED)
    assert decode(encode(image, transparency=RED)).tolist() == [[list(WHITE)]]


def test_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (6, 6), RED), Image.new("RGB", (6, 6), (0, 0, 255))]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(data) == RED).all()


def test_cmyk_jpeg_is_converted() -> None:
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    pixels = decode(data)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - RED).max() < 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_rotation_is_applied(kind: str) -> None:
    image = Image.new("RGB", (64, 32), (0, 0, 0))
    image.paste(RED, (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a quarter turn clockwise: left becomes top
    pixels = decode(encode(image, kind, exif=exif)).astype(int)
    assert pixels.shape == (64, 32, 3)
    assert pixels[8, 16, 0] > 240
    assert pixels[56, 16, 0] < 15


def test_jpeg_is_never_decoded_below_min_side() -> None:
    data = encode(gradient(1600, 900), "JPEG")
    pixels = decode(data, min_side=200)
    assert 200 <= min(pixels.shape[:2]) < 900


def test_reduced_decoding_gives_almost_the_same_picture() -> None:
    image = gradient(1600, 1200)
    asked = Preprocessing(size=64)
    small = prepare(encode(image, "JPEG", quality=95), asked).astype(int)
    exact = prepare(encode(image), asked).astype(int)
    assert np.abs(small - exact).mean() < 2.5


@pytest.mark.parametrize("size", [(400, 300), (300, 400), (320, 320)])
def test_crop_keeps_the_aspect_ratio(size: tuple[int, int]) -> None:
    """The same as scaling the shorter side to size / ratio and cutting the centre out."""
    asked = Preprocessing(size=56, crop_ratio=0.875)
    image = gradient(*size)
    scale = 64 / min(size)
    scaled = image.resize(
        (round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BICUBIC
    )
    left, top = (scaled.width - 56) // 2, (scaled.height - 56) // 2
    expected = np.asarray(scaled.crop((left, top, left + 56, top + 56))).astype(int)
    assert np.abs(prepare(encode(image), asked).astype(int) - expected).max() <= 4


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_any_shape_is_prepared(width: int, height: int) -> None:
    data = encode(Image.new("RGB", (width, height), RED))
    assert inspect(data).width == width
    pixels = prepare(data, Preprocessing(size=32))
    assert pixels.shape == (32, 32, 3)
    assert (pixels == RED).all()


def test_empty_file() -> None:
    with pytest.raises(BadImageError, match="empty file"):
        decode(b"")


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7\n", b"\x00" * 100, b"<svg/>"])
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(BadImageError, match=r"not an image \(allowed: JPEG, PNG"):
        decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_truncated(kind: str) -> None:
    data = encode(gradient(64, 64), kind)
    with pytest.raises(BadImageError, match="unreadable"):
        decode(data[: len(data) // 2])


def test_huge_pixel_count_is_refused_before_decoding() -> None:
    data = encode(Image.new("1", (9000, 9000)))
    assert len(data) < 100_000
    with pytest.raises(BadImageError, match="9000 × 9000 pixels are more than 64,000,000"):
        inspect(data)


def test_bomb_that_pillow_warns_of_is_a_bad_image() -> None:
    with pytest.raises(BadImageError):
        decode(encode(Image.new("1", (10_000, 10_000))))
    with pytest.raises(BadImageError):
        decode(encode(Image.new("1", (20_000, 10_000))))


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 10_000),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_bytes_never_raise_anything_else(
    kind: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(encode(gradient(24, 16), kind))
    for place, value in changes:
        data[place % len(data)] = value
    broken = bytes(data[: len(data) - cut % 40])
    try:
        pixels = decode(broken)
    except BadImageError:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


def test_batch_is_normalised_channels_first() -> None:
    picture = np.zeros((16, 16, 3), dtype=np.uint8)
    picture[:, :, 2] = 255
    batch = to_batch([picture, picture], Preprocessing(size=16))
    assert batch.shape == (2, 3, 16, 16)
    assert batch.dtype == np.float32
    assert batch[0, :, 0, 0].tolist() == [-127 / 128, -127 / 128, 1.0]


def test_labels_are_ranked_best_first_and_ties_keep_their_order() -> None:
    scores = np.array([0.25, 0.25, 0.5], dtype=np.float32)
    ranked = rank_labels(scores, ("<b>a</b>", "键盘", "c"))
    assert ranked == [("c", 0.5), ("<b>a</b>", 0.25), ("键盘", 0.25)]
    assert rank_labels(scores, ("a", "b", "c"), top=1) == [("c", 0.5)]
