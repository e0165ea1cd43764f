"""Pictures for the search of near-duplicates: copies of given ones, and a fixed camera's scene."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from serving.bundle import codec

Chance = np.random.Generator
Scene = npt.NDArray[np.float64]


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _rewrap(image: Image.Image, chance: Chance) -> bytes:
    return encode(image, "PNG", compress_level=1)


def _reencode(image: Image.Image, chance: Chance) -> bytes:
    return encode(image, quality=70)


def _resize(image: Image.Image, chance: Chance) -> bytes:
    size = (round(image.width * 0.8), round(image.height * 0.8))
    return encode(image.resize(size, Image.Resampling.LANCZOS), quality=90)


def _light(image: Image.Image, chance: Chance) -> bytes:
    return encode(ImageEnhance.Brightness(image).enhance(chance.choice([0.9, 1.1])), quality=90)


def _crop(image: Image.Image, chance: Chance) -> bytes:
    width, height = round(image.width * 0.97), round(image.height * 0.97)
    left = int(chance.integers(0, image.width - width + 1))
    top = int(chance.integers(0, image.height - height + 1))
    return encode(image.crop((left, top, left + width, top + height)), quality=90)


COPIES: dict[str, Callable[[Image.Image, Chance], bytes]] = {
    "pixel-equal in another wrapping": _rewrap,
    "re-encoded at quality 70": _reencode,
    "resized to 80 %": _resize,
    "brightness ± 10 %": _light,
    "cropped by 3 %": _crop,
}


def copy_picture(content: bytes, kind: str, chance: Chance) -> bytes:
    """One of COPIES of these bytes."""
    return COPIES[kind](Image.fromarray(codec.decode(content)), chance)


def make_small_picture(number: int) -> bytes:
    """A JPEG of about 3 kB: a few soft blobs; no two numbers' are alike."""
    chance = np.random.default_rng([7, number])
    blobs = Image.fromarray(chance.integers(0, 255, (5, 7, 3), np.uint8))
    picture = np.asarray(blobs.resize((112, 80), Image.Resampling.BICUBIC), np.float32)
    noisy = np.clip(picture + chance.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    return encode(Image.fromarray(noisy))


def make_scene(width: int, height: int, seed: int = 0) -> Scene:
    """A board as a camera above a belt sees it: grain, a printed frame, holes; [height, width]."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    grain = sum(
        float(chance.uniform(2, 6))
        * np.sin(
            2 * np.pi * (x * chance.uniform(0, 4) / width + y * chance.uniform(5, 40) / height)
        )
        for _ in range(12)
    )
    scene: Scene = 130 + grain + chance.normal(0, 3, (height, width))
    scene[20:24, 20:-20] = scene[-24:-20, 20:-20] = 60
    scene[20:-20, 20:24] = scene[20:-20, -24:-20] = 60
    for _ in range(20):
        cy, cx = chance.integers(40, height - 40), chance.integers(40, width - 40)
        scene[(y - cy) ** 2 + (x - cx) ** 2 < chance.integers(5, 14) ** 2] = chance.integers(
            30, 220
        )
    return scene


def add_defect(scene: Scene, chance: Chance) -> Scene:
    """A spot or a scratch of 8 to 24 pixels that is 25 to 70 grey levels off."""
    height, width = scene.shape
    y, x = np.mgrid[0:height, 0:width]
    cy, cx = chance.integers(30, height - 30), chance.integers(30, width - 30)
    size, off = chance.uniform(4, 12), chance.uniform(25, 70) * chance.choice([-1, 1])
    turn = chance.uniform(0, np.pi)
    along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
    across = -(x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
    slim = chance.choice([1.0, 0.25])
    marked = scene.copy()
    marked[(along / size) ** 2 + (across / max(1.5, size * slim)) ** 2 < 1] += off
    return marked


def shoot(scene: Scene, noise: float, chance: Chance) -> bytes:
    """One photo: light ± 5 %, sensor noise of so many grey levels, JPEG."""
    grey = scene * chance.uniform(0.95, 1.05) + chance.normal(0, noise, scene.shape)
    pixels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return encode(Image.fromarray(pixels).convert("RGB"), quality=90)
