from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.search.folds import LEAST_VAL, MOST_FOLDS, make_folds
from training.tasks.protocol import Samples


def make_samples(targets: list[int], val: list[bool], groups: list[int]) -> Samples:
    count = len(targets)
    return Samples(
        sha256=tuple(f"{i:064d}" for i in range(count)),
        targets=np.array(targets),
        strata=np.array(targets),
        val=np.array(val),
        groups=np.array(groups),
        weights=np.ones(count, np.float32),
        repeats=np.ones(count, np.int64),
    )


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 30)), min_size=12, max_size=80
)


@given(ROWS, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_row_is_held_out_once_and_its_group_with_it(
    rows: list[tuple[int, bool, int]], seed: int
) -> None:
    # Every class has two groups at least, one sample of it to train on, and val has one sample.
    fixed = [(target, False, 100 + target * 2 + i) for target in range(3) for i in range(2)]
    targets, val, groups = map(list, zip(*fixed, (0, True, 99), *rows, strict=True))
    samples = make_samples(targets, val, groups)
    folds = make_folds(samples, seed)
    assert folds.joined
    assert 2 <= len(folds) <= MOST_FOLDS
    assert sorted(folds.held_out.tolist()) == list(range(len(samples)))
    for fold in folds.folds:
        assert not set(samples.groups[fold.train]) & set(samples.groups[fold.held_out])
    again = make_folds(samples, seed)
    assert again.held_out.tolist() == folds.held_out.tolist()


def test_a_large_val_side_judges_by_itself() -> None:
    targets = [i % 2 for i in range(2 * LEAST_VAL)]
    val = [i < LEAST_VAL for i in range(2 * LEAST_VAL)]
    folds = make_folds(make_samples(targets, val, list(range(2 * LEAST_VAL))), 0)
    assert (len(folds), folds.joined) == (1, False)
    assert folds.held_out.tolist() == list(range(LEAST_VAL))
    assert folds.learned.tolist() == list(range(LEAST_VAL, 2 * LEAST_VAL))


def test_a_class_of_one_sample_ends_nothing() -> None:
    samples = make_samples([0] * 9 + [1], [False] * 8 + [True, False], list(range(10)))
    assert len(make_folds(samples, 0)) == 2


def test_a_val_sample_without_its_like_to_train_on_counts_as_most_do() -> None:
    samples = make_samples([0] * 8 + [1], [False] * 7 + [True, True], list(range(9)))
    samples = replace(samples, weights=np.array([2, 4] * 3 + [3, 1, 1], np.float32))
    folds = make_folds(samples, 0)
    assert folds.weights.tolist()[-2:] == [3, 3]
