"""Pictures that are easy to tell apart, made without a picture library."""

import math
import random
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

# A Chinese name, one that is an HTML tag, one with a space and an accent.
CLASSES = ("键盘", "<b>", "plancher bois é")
SIDE = 48


def encode_png(rows: Sequence[bytes], width: int) -> bytes:
    """Encode 8-bit RGB rows (PNG specification, sections 5 and 11.2)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _value(kind: int, x: int, y: int, phase: float) -> float:
    """Stripes, rings or checks: brightness from 0 to 1."""
    if kind == 0:
        return 0.5 + 0.5 * math.sin(x / 2 + phase)
    if kind == 1:
        return 0.5 + 0.5 * math.sin(math.hypot(x - SIDE / 2, y - SIDE / 2) / 1.5 + phase)
    return float((x // 8 + y // 8 + int(phase)) % 2)


def make_picture(kind: int, seed: int) -> bytes:
    """One PNG of a class; another seed gives other bytes of the same kind."""
    return _draw(random.Random(f"{kind}-{seed}"), [kind])  # noqa: S311 - pictures, not secrets


def make_mixture(kinds: Sequence[int], seed: int) -> bytes:
    """One PNG that shows several kinds beside each other, each in upright bands of its own."""
    name = "-".join(map(str, kinds))
    return _draw(random.Random(f"{name}-{seed}"), kinds)  # noqa: S311 - as above


def _draw(chance: random.Random, kinds: Sequence[int]) -> bytes:
    phase = chance.uniform(0, 6)
    tint = [chance.randint(120, 255) for _ in range(3)]
    rows = []
    for y in range(SIDE):
        row = bytearray()
        for x in range(SIDE):
            light = _value(kinds[x * len(kinds) // SIDE], x, y, phase)
            row += bytes(min(255, int(c * light) + chance.randint(0, 12)) for c in tint)
        rows.append(bytes(row))
    return encode_png(rows, SIDE)


def write_pictures(folder: Path, classes: Sequence[str], per_class: int, start: int = 0) -> None:
    """Write a class-per-folder tree; kind k is drawn for the k-th class."""
    for kind, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + per_class):
            (folder / name / f"{number:03}.png").write_bytes(make_picture(kind, number))
