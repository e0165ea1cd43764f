"""Floor boards that nobody ever sawed: drawn pictures, for tests and for the README's own one."""

import io
import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

KINDS = ("sound", "knot", "crack", "fray", "stain")
WIDTH, HEIGHT = 320, 240


def _draw_wood(rng: np.random.Generator) -> Image.Image:
    """Grain along the board."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    bend = 6 * np.sin(x / rng.uniform(60, 120) + rng.uniform(0, 6))
    grain = np.sin((y + bend) / rng.uniform(2.5, 5)) + 0.6 * np.sin((y + 2 * bend) / 11)
    grain += rng.normal(0, 0.35, (HEIGHT, WIDTH))
    tone = np.array([rng.uniform(170, 205), rng.uniform(125, 150), rng.uniform(80, 105)])
    pixels = tone + 11 * grain[..., None] * np.array([1, 0.9, 0.7])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _draw_knot(image: Image.Image, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image)
    x, y = rng.uniform(90, WIDTH - 90), rng.uniform(70, HEIGHT - 70)
    for ring in range(7, 0, -1):
        r, dark = 7 * ring, 30 * (7 - ring) // 2
        box = (x - 1.4 * r, y - r, x + 1.4 * r, y + r)
        draw.ellipse(box, fill=(125 - dark // 2, 80 - dark // 2, 50 - dark // 3))


def _walk(
    rng: np.random.Generator, start: tuple[float, float], steps: int, slope: float
) -> list[tuple[float, float]]:
    x, y = start
    points = [(x, y)]
    for _ in range(steps):
        x, y = x + rng.uniform(6, 14), y + rng.normal(slope, 5)
        points.append((x, y))
    return points


def _draw_crack(image: Image.Image, rng: np.random.Generator) -> None:
    line = _walk(rng, (rng.uniform(10, 60), rng.uniform(60, 180)), 20, rng.uniform(-2, 2))
    ImageDraw.Draw(image).line(line, fill=(48, 28, 18), width=int(rng.integers(3, 6)))


def _draw_fray(image: Image.Image, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image)
    edge = HEIGHT - rng.uniform(25, 50)
    draw.rectangle((0, edge, WIDTH, HEIGHT), fill=(52, 40, 34))
    for x in np.arange(0, WIDTH, 4.0):
        long = rng.uniform(4, 26)
        lean = rng.normal(0, 5)
        draw.line(((x, edge - long), (x + lean, edge + 4)), fill=(52, 40, 34), width=3)


def _draw_stain(image: Image.Image, rng: np.random.Generator) -> None:
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    x, y = rng.uniform(90, WIDTH - 90), rng.uniform(80, HEIGHT - 80)
    for _ in range(7):
        angle, far, r = rng.uniform(0, 2 * math.pi), rng.uniform(0, 30), rng.uniform(18, 40)
        cx, cy = x + far * math.cos(angle), y + far * math.sin(angle)
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=150)
    dark = Image.new("RGB", image.size, (70, 62, 80))
    image.paste(dark, mask=mask.filter(ImageFilter.GaussianBlur(7)))


_DRAWN = {"knot": _draw_knot, "crack": _draw_crack, "fray": _draw_fray, "stain": _draw_stain}


@cache
def draw_board(kind: str, seed: int) -> bytes:
    """A JPEG of 320 × 240; a kind that is not known is a sound board, `knot|crack` is both."""
    rng = np.random.default_rng([seed, *kind.encode()])
    image = _draw_wood(rng)
    for one in kind.split("|"):
        if one in _DRAWN:
            _DRAWN[one](image, rng)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
