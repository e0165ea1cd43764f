"""The benchmark's data: encoded pictures, each with its label and side."""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from spark_jobs.importing.digits import write_digits

# Of the digits, which come without sides.
TEST_SHARE = 0.15


@dataclass(frozen=True)
class Picture:
    """side: train, val or test."""

    content: bytes
    label: str
    side: str


def read_photos(folder: Path) -> list[Picture]:
    """train/ is the train side, val/ the test side, as the import has it."""
    sides = {"train": "train", "val": "test"}
    return [
        Picture(path.read_bytes(), path.parent.name, sides[split])
        for split in sides
        for path in sorted((folder / split).glob("*/*"))
    ]


def read_digits() -> list[Picture]:
    """scikit-learn's, as the demo imports them."""
    with tempfile.TemporaryDirectory() as name:
        write_digits(Path(name))
        found = [(p.read_bytes(), p.parent.name) for p in sorted(Path(name).glob("*/*.png"))]
    test = np.random.default_rng(0).random(len(found)) < TEST_SHARE
    return [
        Picture(content, label, "test" if held else "train")
        for (content, label), held in zip(found, test, strict=True)
    ]


def read_cells(folder: Path) -> list[Picture]:
    """Cells cut out by their boxes; the sides are the data's own."""
    found = []
    for side in ("train", "val", "test"):
        for name in (folder / "ImageSets" / "Main" / f"{side}.txt").read_text().split():
            path = folder / "JPEGImages" / f"{name}.jpg"
            with Image.open(path) as whole:
                found += [
                    Picture(_encode(whole.convert("RGB").crop(box)), label, side)
                    for label, box in _read_boxes(folder / "Annotations" / f"{name}.xml")
                ]
    return found


def _read_boxes(path: Path) -> list[tuple[str, tuple[int, int, int, int]]]:
    boxes = []
    for thing in ElementTree.parse(path).iter("object"):  # noqa: S314 - the caller's own data
        left, top, right, bottom = (
            int(thing.findtext(f"bndbox/{name}") or 0) for name in ("xmin", "ymin", "xmax", "ymax")
        )
        if right - left > 1 and bottom - top > 1:
            boxes.append((thing.findtext("name") or "", (left, top, right, bottom)))
    return boxes


def _encode(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
