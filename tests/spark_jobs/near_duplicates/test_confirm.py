"""Confirming: copies pass, a small defect does not."""

import itertools
import math

import numpy as np
import pytest

from spark_jobs.near_duplicates.confirm import CHUNK, Bytes, compare_thumbnails
from spark_jobs.near_duplicates.look import look_at, read_thumbnails
from spark_jobs.stages.group_near_duplicates import Params
from tests.spark_jobs.near_duplicates.pictures import COPIES, copy_picture, make_scene, shoot

LIMIT = Params().max_difference
CALM = 0.5


def see(content: bytes) -> Bytes:
    (one,) = read_thumbnails([look_at(content).thumbnail])
    return np.asarray(one, np.uint8)


def compare(first: Bytes, second: Bytes) -> float:
    return float(compare_thumbnails(first[None], second[None], LIMIT)[0])


def shoot_scene(seed: int = 0, off: float = 0.0, size: int = 12) -> bytes:
    """A scene, with a square of `size` pixels that is `off` grey levels off."""
    scene = make_scene(640, 480, seed)
    scene[200 : 200 + size, 300 : 300 + size] += off
    return shoot(scene, CALM, np.random.default_rng(3))


@pytest.mark.parametrize("kind", list(COPIES))
def test_copies_are_confirmed_both_ways(kind: str) -> None:
    content = shoot_scene()
    copy = copy_picture(content, kind, np.random.default_rng(0))
    assert compare(see(content), see(copy)) < LIMIT
    assert compare(see(copy), see(content)) < LIMIT


def test_equal_pixels_differ_by_nothing() -> None:
    assert compare(see(shoot_scene()), see(shoot_scene())) < 1e-3


@pytest.mark.parametrize("off", [-60.0, 60.0])
def test_a_small_defect_is_the_difference(off: float) -> None:
    """12 × 12 of 640 × 480 pixels: 0.05 % of the picture; its mean says nothing."""
    good, bad = see(shoot_scene()), see(shoot_scene(off=off))
    assert np.abs(good.astype(float) - bad).mean() < 0.2
    assert LIMIT < compare(good, bad) < math.inf
    assert LIMIT < compare(bad, good) < math.inf


def test_other_scenes_are_not_alike() -> None:
    assert compare(see(shoot_scene(0)), see(shoot_scene(1))) > LIMIT


def test_a_large_shift_is_no_copy() -> None:
    one = see(shoot_scene())
    assert compare(one, np.roll(one, 20, axis=1)) > LIMIT


def test_empty_pictures_are_alike() -> None:
    black, white = np.zeros((96, 96), np.uint8), np.full((96, 96), 255, np.uint8)
    assert compare(black, black) == pytest.approx(0)
    assert math.isfinite(compare(white, white))


def test_pairs_do_not_influence_each_other() -> None:
    """More pairs than go in one piece, of which some end early and some are black."""
    scenes = [see(shoot_scene(seed)) for seed in range(4)]
    shots = [*scenes, see(shoot_scene(off=30.0)), np.zeros((96, 96), np.uint8)]
    pairs = list(itertools.product(shots, shots))
    assert len(pairs) > CHUNK
    first, second = (np.stack(side) for side in zip(*pairs, strict=True))
    alone = np.array([compare(one, other) for one, other in pairs])
    np.testing.assert_allclose(
        compare_thumbnails(first, second, LIMIT), alone, rtol=1e-6, atol=1e-6
    )
    assert compare_thumbnails(first[:0], second[:0], LIMIT).shape == (0,)
