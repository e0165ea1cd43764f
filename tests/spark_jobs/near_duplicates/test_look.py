"""A look: the same for the same pixels, whatever they are wrapped in."""

import numpy as np
import pytest
from PIL import Image

from serving.bundle import codec
from spark_jobs.near_duplicates.look import (
    FREQUENCIES,
    KEPT,
    Grey,
    Look,
    look_at,
    low_frequencies,
    read_thumbnails,
)
from tests.spark_jobs.near_duplicates.pictures import encode, make_scene


def make_image(width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
    pixels = np.clip(make_scene(width, height, seed), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def read_frequencies(look: Look) -> Grey:
    return np.frombuffer(look.frequencies, np.float32)


def test_shapes_and_facts() -> None:
    look = look_at(encode(make_image()))
    assert read_thumbnails([look.thumbnail] * 2).shape == (2, 96, 96)
    assert read_frequencies(look).shape == (FREQUENCIES,)
    assert 0 < look.darkest < 130 < look.brightest < 255


def test_the_same_pixels_look_the_same_in_any_wrapping() -> None:
    photo = encode(make_image(700, 530), quality=85)
    decoded = Image.fromarray(codec.decode(photo))
    assert look_at(photo) == look_at(encode(decoded, "PNG")) == look_at(encode(decoded, "BMP"))


def test_large_photos_are_decoded_smaller_and_look_nearly_the_same() -> None:
    photo = encode(make_image(2600, 1900), quality=95)
    whole = encode(Image.fromarray(codec.decode(photo)), "PNG", compress_level=1)
    one, other = read_thumbnails([look_at(content).thumbnail for content in (photo, whole)])
    assert np.abs(one.astype(float) - other).max() <= 5


def test_frequencies_are_those_of_a_dct() -> None:
    """Against the definition: a single cosine has a single coefficient."""
    x = np.arange(32)
    wave = np.cos(np.pi * (2 * x + 1) * 3 / 64)
    picture = (100 + 50 * np.ones((32, 1)) * wave).astype(np.float32)
    found = low_frequencies(picture).reshape(KEPT, KEPT)
    assert found[0, 3] == pytest.approx(32, rel=1e-4)
    found[0, 3] = 0
    assert np.abs(found).max() < 1e-3


def test_light_and_contrast_do_not_count() -> None:
    grey = np.random.default_rng(0).uniform(50, 150, (32, 32)).astype(np.float32)
    np.testing.assert_allclose(
        low_frequencies(grey), low_frequencies(1.3 * grey - 20), rtol=1e-3, atol=1e-4
    )


def test_blur_lowers_the_sharpness() -> None:
    image = make_image()
    small = image.resize((20, 15), Image.Resampling.BILINEAR)
    blurred = small.resize(image.size, Image.Resampling.BICUBIC)
    assert look_at(encode(blurred)).sharpness < 0.1 * look_at(encode(image)).sharpness


@pytest.mark.parametrize("level", [0, 255])
def test_empty_pictures_are_no_trouble(level: int) -> None:
    look = look_at(encode(Image.new("RGB", (64, 64), (level,) * 3), "PNG"))
    assert np.isfinite(read_frequencies(look)).all()
    assert (look.darkest, look.brightest) == (level, level)
