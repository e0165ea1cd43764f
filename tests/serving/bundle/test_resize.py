"""Three ways to fit a picture to the network's size."""

import hashlib
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.bundle.codec import Pixels, prepare, to_batch
from serving.bundle.manifest import Preprocessing, Resize
from tests.serving.bundle.test_codec import gradient
from tests.serving.tiny import encode

SIZE = 56
GREY = 127
WAYS: tuple[Resize, ...] = get_args(Resize)
CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def fit(image: Image.Image, resize: Resize, kind: str = "PNG", **options: object) -> Pixels:
    return prepare(encode(image, kind, **options), Preprocessing(size=SIZE, resize=resize))


def marked(width: int, height: int) -> Image.Image:
    """Black, each corner a square of its own colour, a tenth of the shorter side."""
    image, side = Image.new("RGB", (width, height)), min(width, height) // 10
    for place, colour in enumerate(CORNERS.values()):
        x, y = (place % 2) * (width - side), (place // 2) * (height - side)
        image.paste(colour, (x, y, x + side, y + side))
    return image


def read_corners(pixels: Pixels) -> list[tuple[int, ...]]:
    return [tuple(map(int, pixels[y, x])) for y in (0, -1) for x in (0, -1)]


def test_crop_gives_the_very_pixels_that_it_always_gave() -> None:
    digest = hashlib.sha256()
    for size in ((400, 300), (300, 400), (17, 5), (1, 3000), (1600, 900)):
        digest.update(fit(gradient(*size), "crop").tobytes())
    assert digest.hexdigest()[:20] == "6ec395616c2234a3fcb4"


def test_json_of_the_default_is_that_of_a_time_without_the_choice() -> None:
    old = '{"size":224,"crop_ratio":0.875,"mean":127.0,"scale":128.0}'
    assert Preprocessing().model_dump_json() == old
    assert Preprocessing.model_validate_json(old).resize == "crop"
    for resize in WAYS:
        chosen = Preprocessing(resize=resize)
        assert Preprocessing.model_validate_json(chosen.model_dump_json()) == chosen
    assert len({Preprocessing(resize=resize).model_dump_json() for resize in WAYS}) == len(WAYS)


@settings(max_examples=150, deadline=None)
@given(
    resize=st.sampled_from(WAYS),
    mode=st.sampled_from(["RGB", "L", "RGBA", "P", "CMYK"]),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.integers(16, 70),
)
def test_the_result_is_always_a_square(
    resize: Resize, mode: str, width: int, height: int, size: int
) -> None:
    kind = "JPEG" if mode in ("RGB", "CMYK") else "PNG"
    data = encode(Image.new(mode, (width, height)), kind)
    pixels = prepare(data, Preprocessing(size=size, resize=resize))
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8


def test_crop_cuts_the_corners_off() -> None:
    assert read_corners(fit(marked(400, 200), "crop")) == [(0, 0, 0)] * 4


@pytest.mark.parametrize("size", [(400, 200), (200, 400), (300, 300)])
def test_squash_keeps_the_corners(size: tuple[int, int]) -> None:
    assert read_corners(fit(marked(*size), "squash")) == list(CORNERS.values())


def test_squash_scales_each_side_alone() -> None:
    pixels = fit(gradient(400, 200), "squash").astype(int)
    straight = np.asarray(gradient(SIZE, SIZE)).astype(int)
    assert np.abs(pixels - straight).max() <= 4


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((400, 200), (slice(14, 42), slice(None))),
        ((200, 400), (slice(None), slice(14, 42))),
        ((300, 300), (slice(None), slice(None))),
    ],
)
def test_letterbox_keeps_corners_and_aspect_ratio(
    size: tuple[int, int], inside: tuple[slice, slice]
) -> None:
    pixels = fit(marked(*size), "letterbox")
    assert read_corners(pixels[inside]) == list(CORNERS.values())
    border = np.ones((SIZE, SIZE), dtype=bool)
    border[inside] = False
    assert (pixels[border] == GREY).all()
    batch = to_batch([pixels], Preprocessing(size=SIZE, resize="letterbox"))
    assert (batch[0][:, border] == 0).all()


def test_borders_are_the_mean_whatever_it_is() -> None:
    asked = Preprocessing(size=SIZE, resize="letterbox", mean=100.0)
    batch = to_batch([prepare(encode(marked(400, 200)), asked)], asked)
    assert (batch[0, :, :14] == 0).all()


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1)])
def test_a_hair_is_seen(size: tuple[int, int]) -> None:
    hair = Image.new("RGB", size, (255, 0, 0))
    assert (fit(hair, "squash") == (255, 0, 0)).all()
    boxed = fit(hair, "letterbox")
    red = (boxed == (255, 0, 0)).all(axis=-1)
    assert red.sum() == SIZE
    assert red.any(axis=0 if size[0] == 1 else 1).sum() == 1
    assert (boxed[~red] == GREY).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("resize", WAYS)
def test_a_tiny_picture_is_enlarged(size: tuple[int, int], resize: Resize) -> None:
    pixels = fit(Image.new("RGB", size, (0, 0, 255)), resize)
    blue = (pixels == (0, 0, 255)).all(axis=-1)
    kept = min(size) / max(size) if resize == "letterbox" else 1
    assert blue.mean() == pytest.approx(kept, abs=0.02)
    assert (pixels[~blue] == GREY).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("resize", WAYS)
def test_a_turned_picture_is_fitted_upright(kind: str, resize: Resize) -> None:
    image = gradient(400, 200)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = fit(image, resize, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    upright = fit(image.transpose(Image.Transpose.ROTATE_270), resize)
    assert np.abs(turned.astype(int) - upright).mean() < 2
    assert np.abs(turned.astype(int) - fit(image, resize)).mean() > 20


@pytest.mark.parametrize("resize", WAYS)
def test_a_large_photo_is_fitted_as_its_lossless_twin(resize: Resize) -> None:
    image = gradient(1600, 1200)
    small = fit(image, resize, "JPEG", quality=95).astype(int)
    assert np.abs(small - fit(image, resize)).mean() < 2.5
