"""Small pictures of anything that has one, and of nothing that is too large."""

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from serving.bundle.codec import MAX_PIXELS
from spark_jobs.report.thumbnails import make_thumbnail
from tests.spark_jobs.near_duplicates.pictures import encode
from tests.spark_jobs.tiny import make_picture

SIDE = 112
WIDE = 8000


def read_back(thumbnail: str) -> Image.Image:
    head, _, data = thumbnail.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def halve(content: bytes) -> bytes:
    return content[: len(content) // 2]


def test_colour_and_aspect_are_kept() -> None:
    image = read_back(make_thumbnail(encode(Image.new("RGB", (900, 450), (200, 40, 10))), SIDE))
    assert image.size == (SIDE, SIDE // 2)
    assert np.abs(np.asarray(image).mean((0, 1)) - (200, 40, 10)).max() < 4


def test_the_busiest_picture_is_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    content = encode(Image.fromarray(noise), "PNG")
    limited, free = (len(make_thumbnail(content, SIDE, most)) for most in (4096, None))
    assert limited <= 4096 * 4 / 3 + 40 < free


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_picture_shows_what_is_there(kind: str) -> None:
    content = halve(encode(Image.new("RGB", (300, 200), (250, 250, 250)), kind))
    pixels = np.asarray(read_back(make_thumbnail(content, SIDE)))
    assert pixels[5].mean() > 240
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(
    "make", [lambda: b"", lambda: b"no picture", lambda: make_picture(0, 0)[:12]]
)
def test_no_picture_is_told_by_an_empty_text(make: Callable[[], bytes]) -> None:
    assert make_thumbnail(make(), SIDE) == ""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


# The peak of this very program: ru_maxrss would begin with that of the process that started it.
MEASURE = """
import re, sys
from pathlib import Path
from spark_jobs.report.thumbnails import make_thumbnail

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

small, large = (Path(path).read_bytes() for path in sys.argv[1:])
assert make_thumbnail(small, 112)
before = peak()
shown = bool(make_thumbnail(large, 112))
print(shown, (peak() - before) // 1024)
"""


def measure(small: Path, large: Path) -> tuple[bool, int]:
    """Whether it was shown, and the mebibytes that this took."""
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    shown, grown = ended.stdout.split()
    return shown == "True", int(grown)


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    """Just above the limit nothing is decoded, truncated or whole; just below it, it is."""
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(encode(Image.new("RGB", (200, 200)), "PNG"))
    height = MAX_PIXELS // WIDE
    content = encode(Image.new("RGB", (WIDE, height)), "PNG")
    large.write_bytes(content)
    shown, grown = measure(small, large)
    assert shown
    assert grown > 150
    bomb = encode(Image.new("RGB", (WIDE, height + 1)), "PNG")
    header = re.compile(rb"IHDR(.{8})", re.DOTALL)
    huge = header.sub(b"IHDR" + (60_000).to_bytes(4, "big") * 2, bomb, count=1)
    for refused in (bomb, halve(bomb), huge):
        large.write_bytes(refused)
        shown, grown = measure(small, large)
        assert not shown
        assert grown < 20
