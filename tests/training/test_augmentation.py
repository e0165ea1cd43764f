"""Pictures changed and mixed at random: what must hold whatever is drawn."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.job.search import Recipe
from training.augmentation import Changes, Mix, Numbers, apply, draw, draw_mix, mix

SIDE, COUNT = 16, 6
PREPROCESSING = Preprocessing(size=SIDE)
SEEDS = st.integers(0, 2**32)
STRENGTHS = st.floats(0, 1)
ALPHAS = st.floats(0.05, 4)
NOTHING = Changes(
    crops=np.tile([0.0, 0.0, 1.0, 1.0], (COUNT, 1)),
    flipped=np.zeros(COUNT, bool),
    brightness=np.ones(COUNT),
    contrast=np.ones(COUNT),
    saturation=np.ones(COUNT),
)
quick = settings(max_examples=40, deadline=None)


def make_pixels(seed: int = 0, count: int = COUNT) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def to_tensor(pixels: npt.NDArray[np.uint8]) -> paddle.Tensor:
    return paddle.to_tensor(codec.to_batch(list(pixels), PREPROCESSING))


def to_pixels(pictures: paddle.Tensor) -> Numbers:
    """[n, side, side, 3], 0 to 255."""
    values = pictures.numpy().astype(np.float64) * PREPROCESSING.scale + PREPROCESSING.mean
    pixels: Numbers = values.transpose(0, 2, 3, 1)
    return pixels


def draw_of(seed: int, strength: float, count: int = COUNT) -> Changes:
    return draw(Recipe(input="x", augmentation=strength), count, np.random.default_rng(seed))


def mix_of(seed: int, alpha: float, count: int = COUNT) -> Mix:
    drawn = draw_mix(Recipe(input="x", mixup=alpha), count, np.random.default_rng(seed))
    assert drawn is not None
    return drawn


def is_equal(one: Changes | Mix, other: Changes | Mix) -> bool:
    return all(np.array_equal(value, vars(other)[name]) for name, value in vars(one).items())


@quick
@given(SEEDS)
def test_no_augmentation_changes_nothing_bit_for_bit(seed: int) -> None:
    pictures = to_tensor(make_pixels(seed))
    changes = draw_of(seed, 0)
    assert is_equal(changes, replace(NOTHING, active=False))
    assert apply(pictures, changes, PREPROCESSING).numpy().tobytes() == pictures.numpy().tobytes()


@quick
@given(SEEDS, STRENGTHS, ALPHAS)
def test_what_is_drawn_depends_on_the_seed_alone(seed: int, strength: float, alpha: float) -> None:
    assert is_equal(draw_of(seed, strength), draw_of(seed, strength))
    assert is_equal(mix_of(seed, alpha), mix_of(seed, alpha))
    if strength > 0.01:
        assert not is_equal(draw_of(seed, strength), draw_of(seed + 1, strength))
    assert not np.array_equal(mix_of(seed, alpha).shares, mix_of(seed + 1, alpha).shares)


@quick
@given(SEEDS, STRENGTHS)
def test_values_stay_within_the_range_of_pictures(seed: int, strength: float) -> None:
    # The strongest contrasts there are.
    pixels = (make_pixels(seed) > 127).astype(np.uint8) * 255
    changed = to_pixels(apply(to_tensor(pixels), draw_of(seed, strength), PREPROCESSING))
    assert changed.min() >= 0
    assert changed.max() <= 255


@quick
@given(SEEDS, STRENGTHS)
def test_parts_lie_within_their_picture(seed: int, strength: float) -> None:
    crops = draw_of(seed, strength, 50).crops
    left, top, width, height = crops.T
    area, ratio = width * height, width / height
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-12
    assert area.min() >= 1 - 0.92 * strength - 1e-9
    assert max(ratio.max(), 1 / ratio.min()) <= (4 / 3) ** strength + 1e-9


@pytest.mark.parametrize(("strength", "flips"), [(1, 0.5), (0.5, 0.25)])
def test_changes_are_as_strong_as_the_recipe_says(strength: float, flips: float) -> None:
    changes = draw_of(0, strength, 20_000)
    assert changes.flipped.mean() == pytest.approx(flips, abs=0.02)
    assert (changes.crops[:, 2] * changes.crops[:, 3]).min() == pytest.approx(
        1 - 0.92 * strength, abs=0.01
    )
    for factors in (changes.brightness, changes.contrast, changes.saturation):
        assert factors.min() == pytest.approx(1 - 0.4 * strength, abs=0.01)
        assert factors.max() == pytest.approx(1 + 0.4 * strength, abs=0.01)


def test_the_whole_picture_as_its_own_part_is_the_picture() -> None:
    pictures = to_tensor(make_pixels())
    kept = apply(pictures, NOTHING, PREPROCESSING).numpy()
    np.testing.assert_allclose(kept, pictures.numpy(), atol=1e-6)


def test_flipped_pictures_are_mirrored() -> None:
    pictures = to_tensor(make_pixels())
    flipped = np.arange(COUNT) % 2 == 0
    found = apply(pictures, replace(NOTHING, flipped=flipped), PREPROCESSING).numpy()
    expected = pictures.numpy().copy()
    expected[flipped] = expected[flipped, :, :, ::-1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_part_is_enlarged_as_pillow_enlarges_it() -> None:
    pixels = make_pixels()
    left, top, width, height = 0.25, 0.125, 0.5, 0.75
    crops = np.tile([left, top, width, height], (COUNT, 1))
    changes = replace(NOTHING, crops=crops)
    found = to_pixels(apply(to_tensor(pixels), changes, PREPROCESSING))
    box = (left * SIDE, top * SIDE, (left + width) * SIDE, (top + height) * SIDE)
    for one, picture in zip(found, pixels, strict=True):
        image = Image.fromarray(picture)
        expected = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))
        # Pillow knows nothing outside of its box: compare what lies within.
        inner = (slice(2, -2), slice(2, -2))
        np.testing.assert_allclose(one[inner], expected[inner], atol=1.01)


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_colours_change_as_pillow_changes_them(
    name: str, enhance: type[ImageEnhance.Brightness], factor: float
) -> None:
    pixels = make_pixels()
    changes = Changes(**vars(NOTHING) | {name: np.full(COUNT, factor)})
    found = to_pixels(apply(to_tensor(pixels), changes, PREPROCESSING))
    for one, picture in zip(found, pixels, strict=True):
        expected = np.asarray(enhance(Image.fromarray(picture)).enhance(factor))
        np.testing.assert_allclose(one, expected, atol=1.5)


@quick
@given(SEEDS, STRENGTHS, ALPHAS, st.integers(1, COUNT))
def test_ranks_make_together_what_one_makes_alone(
    seed: int, strength: float, alpha: float, ranks: int
) -> None:
    pictures = to_tensor(make_pixels(seed))
    changes, mixed = draw_of(seed, strength), mix_of(seed, alpha)
    whole = apply(pictures, changes, PREPROCESSING)
    pictures_whole, shares_whole = mix(whole, whole[paddle.to_tensor(mixed.partners)], mixed)
    for places in np.array_split(np.arange(COUNT), ranks):
        own = mixed.select(places)
        pair = (
            apply(pictures[paddle.to_tensor(some)], changes.select(some), PREPROCESSING)
            for some in (places, own.partners)
        )
        found, shares = mix(next(pair), next(pair), own)
        assert found.numpy().tobytes() == pictures_whole.numpy()[places].tobytes()
        assert shares.numpy().tobytes() == shares_whole.numpy()[places].tobytes()


def test_what_does_not_mix_draws_nothing() -> None:
    assert draw_mix(Recipe(input="x"), COUNT, np.random.default_rng(0)) is None


@quick
@given(SEEDS, ALPHAS)
def test_a_share_is_how_much_of_a_picture_is_its_own(seed: int, alpha: float) -> None:
    mixed = mix_of(seed, alpha)
    assert sorted(mixed.partners) == list(range(COUNT))
    white, black = (to_tensor(np.full_like(make_pixels(), value)) for value in (255, 0))
    found, shares = mix(white, black, mixed)
    assert shares.numpy().min() >= 0
    assert shares.numpy().max() <= 1
    whites = to_pixels(found) / 255
    np.testing.assert_allclose(whites.mean(axis=(1, 2, 3)), shares.numpy(), atol=1e-6)
    if mixed.cuts is not None:
        # Each pixel is of one of the two, and the partner's are a rectangle.
        assert set(np.unique(whites.round(6))) <= {0, 1}
        for one in whites[..., 0]:
            rows, columns = np.nonzero(one < 0.5)
            if len(rows):
                assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)


def test_half_of_the_batches_are_cut_and_cuts_are_as_large_as_was_drawn() -> None:
    drawn = [mix_of(seed, 1, 50) for seed in range(400)]
    cuts = [one for one in drawn if one.cuts is not None]
    assert 150 < len(cuts) < 250
    for one in cuts:
        assert one.cuts is not None
        left, top, right, bottom = one.cuts.T
        area = (right - left) * (bottom - top)
        # What would reach over the picture's edge is left out.
        assert (area <= 1 - one.shares + 1e-9).all()
        inside = (left > 0) & (top > 0) & (right < 1) & (bottom < 1)
        np.testing.assert_allclose(area[inside], 1 - one.shares[inside], atol=1e-9)
    even = np.concatenate([one.shares for one in drawn])
    # Beta(1, 1) is uniform.
    assert np.histogram(even, 10, (0, 1))[0] / len(even) == pytest.approx(0.1, abs=0.02)


def test_what_is_changed_has_no_gradient() -> None:
    pictures = to_tensor(make_pixels())
    changed, _ = mix(apply(pictures, draw_of(0, 1), PREPROCESSING), pictures, mix_of(0, 1))
    assert changed.stop_gradient
