import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from training.search.dealing import deal_groups

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 25)), min_size=5, max_size=80)


@given(rows=ROWS, count=st.integers(2, 5), seed=st.integers(0, 5), alone=st.booleans())
@settings(max_examples=100, deadline=None)
def test_folds_are_those_of_scikit_learn(
    rows: list[tuple[int, int]], count: int, seed: int, *, alone: bool
) -> None:
    # It refuses where there are fewer groups than folds, or no stratum that has one a fold.
    rows = [*rows, *((7, 100 + i) for i in range(count))]
    strata, groups = (np.array(column) for column in zip(*rows, strict=True))
    if alone:
        groups = np.arange(len(rows))
    dealer = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        expected = [held.tolist() for _, held in dealer.split(strata, strata, groups)]
    dealt = deal_groups(strata, groups, count, seed)
    assert [np.flatnonzero(dealt == fold).tolist() for fold in range(count)] == expected
