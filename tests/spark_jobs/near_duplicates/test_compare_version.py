"""COMPARE_VERSION is raised with the comparing: what is kept under it stays true."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spark_jobs.near_duplicates.confirm import (
    COMPARE_VERSION,
    Bytes,
    compare_thumbnails,
    look_coarsely,
    pack_coarse,
    screen_pairs,
    unpack_coarse,
)

# Where this fails the comparing tells otherwise than before: raise COMPARE_VERSION, and put here
# what it gives now. Under the old version, results of old and new code would lie side by side.
PINNED = ("1", "46ff227ded0bcf9c")
LIMIT = 8.0
Numbers = npt.NDArray[np.int64]


def make_blobs(seed: bytes) -> Numbers:
    """[96, 96] grey levels that are the same with any version of any library."""
    coarse = np.frombuffer(hashlib.shake_256(seed).digest(144), np.uint8).reshape(12, 12)
    soft = coarse.astype(np.int64).repeat(8, axis=0).repeat(8, axis=1)
    for axis in (0, 1, 0, 1):
        soft = np.sum([np.roll(soft, shift, axis=axis) for shift in range(-3, 4)], axis=0) // 7
    return soft


def change(picture: Numbers, other: Numbers) -> Iterator[Numbers]:
    """Copies, and what is ever less of one: each of the comparing's limits is passed somewhere."""
    yield from (picture, picture.T, 0 * picture, other)
    for step in range(1, 16):
        yield np.roll(picture, step, axis=step % 2)
        yield picture * (20 + 3 * step) // 20
        yield picture * (20 - step) // 20 + 4 * step
        kept = np.arange(96) * (96 - step) // 96
        yield picture[kept][:, kept]
        yield picture[:, kept]
        spot = picture.copy()
        spot[40 : 40 + step, 50:56] += 6 * step
        yield spot
        yield picture + (other - picture) * step // 40
        bright = picture + 90
        bright[:, : 6 * step] += 8 * step
        yield bright


def clip(picture: Numbers) -> Bytes:
    return np.clip(picture, 0, 255).astype(np.uint8)


def make_pairs() -> tuple[Bytes, Bytes]:
    """Copies and what is less than one, [n, 96, 96] each."""
    pictures = [make_blobs(seed) for seed in (b"one", b"other", b"third")]
    pairs = [
        (clip(picture), clip(changed))
        for picture, other in zip(pictures, np.roll(pictures, 1, axis=0), strict=True)
        for changed in change(picture, other)
    ]
    first, second = (np.stack(side) for side in zip(*pairs, strict=True))
    return first, second


def test_what_the_version_stands_for() -> None:
    first, second = make_pairs()
    told = [round(one, 3) for one in compare_thumbnails(first, second, LIMIT).tolist()]
    assert 0 < sum(one <= LIMIT for one in told) < len(told)
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    assert (COMPARE_VERSION, digest) == PINNED


def test_screening_drops_only_what_the_comparing_gives_up() -> None:
    first, second = make_pairs()
    one, other = (
        unpack_coarse([record.tobytes() for record in pack_coarse(look_coarsely(side))])
        for side in (first, second)
    )
    left = screen_pairs(one, other, LIMIT)
    assert 0 < (~left).sum() < len(left)
    assert np.isinf(compare_thumbnails(first, second, LIMIT)[~left]).all()
