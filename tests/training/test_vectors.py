from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from serving.job.errors import UserError
from tests.training.conftest import FEATURES, make_input
from training.vectors import Vectors, find_scaling, read_matrix


def test_vectors_come_in_the_samples_order(snapshot: Path) -> None:
    uri = (snapshot / "features").as_uri()
    names = tuple(pq.read_table(snapshot / "labels.parquet")["sha256"].to_pylist())
    matrix = read_matrix(uri, names, FEATURES)
    np.testing.assert_array_equal(read_matrix(uri, names[::-1], FEATURES), matrix[::-1])
    # A stranger's is there as well, and is asked for by nobody.
    assert not read_matrix(uri, ("0" * 64,), FEATURES).any()
    vectors = Vectors((make_input(snapshot / "features"),), names)
    np.testing.assert_array_equal(vectors["efficientnet-lite0 crop"], matrix)


def test_missing_features_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 of 2 samples have no features in file:.*Run etl"):
        read_matrix(tmp_path.as_uri(), ("a", "b"), FEATURES)


def test_scaling_is_of_the_chosen_rows() -> None:
    matrix = np.array([[0, 2], [4, 2], [100, 100]], np.float32)
    scaling = find_scaling(matrix, np.array([0, 1]))
    assert scaling.mean.tolist() == [2, 2]
    assert scaling.deviation == 1
