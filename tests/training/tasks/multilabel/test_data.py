from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.job.errors import UserError
from training.spec import TrainSpec
from training.tasks.multilabel.data import find_strata, read_samples

MakeSpec = Callable[..., TrainSpec]
CLASSES = ("cup", "desk", "键盘")
TRAIN = ("cup", "cup|desk", "desk|键盘", "cup|desk")
VAL = ("cup|desk|键盘", "desk")


def write(
    make_spec: MakeSpec, folder: Path, train: tuple[str, ...] = TRAIN, val: tuple[str, ...] = VAL
) -> TrainSpec:
    labels = [*train, *val, "cup"]
    sides = ["train"] * len(train) + ["val"] * len(val) + ["test"]
    rows = {"sha256": list(map(str, range(len(labels)))), "label": labels, "side": sides}
    empty = pa.nulls(len(labels), pa.string())
    pq.write_table(pa.table({**rows, "group": empty, "segment": empty}), folder / "labels.parquet")
    uri = (folder / "labels.parquet").as_uri()
    return make_spec(task="multilabel", classes=CLASSES, labels_uri=uri)


def test_each_class_is_there_or_not(make_spec: MakeSpec, tmp_path: Path) -> None:
    samples = read_samples(write(make_spec, tmp_path))
    assert samples.targets.dtype == np.float32
    assert samples.targets.tolist() == [
        *([1, 0, 0], [1, 1, 0], [0, 1, 1], [1, 1, 0]),
        *([1, 1, 1], [0, 1, 0]),
    ]
    assert samples.val.tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("train", "val", "sentence"),
    [
        ((*TRAIN, "cup|lamp"), VAL, "samples of lamp, which are not among the classes"),
        (("cup", "cup|desk"), VAL, "键盘: no sample to train on"),
        (TRAIN, (), "none on the val side"),
    ],
)
def test_what_cannot_be_trained_on(
    make_spec: MakeSpec,
    tmp_path: Path,
    train: tuple[str, ...],
    val: tuple[str, ...],
    sentence: str,
) -> None:
    with pytest.raises(UserError, match=sentence):
        read_samples(write(make_spec, tmp_path, train, val))


def test_the_stratum_is_the_rarest_class() -> None:
    common, rare, rarer = [1, 0, 0], [1, 1, 0], [0, 1, 1]
    targets = np.array([common] * 30 + [rare] * 12 + [rarer] * 3, np.float32)
    assert find_strata(targets).tolist() == [0] * 30 + [1] * 12 + [2] * 3
    # Of equally rare ones, the first.
    alike = np.array([[1, 1], [1, 1]], np.float32)
    assert find_strata(alike).tolist() == [0, 0]


def test_what_is_left_of_a_common_class_makes_no_small_stratum() -> None:
    targets = np.array([[1, 1, 0]] * 40 + [[1, 0, 0]] + [[0, 0, 1]] * 20, np.float32)
    assert find_strata(targets).tolist() == [1] * 41 + [2] * 20
    # A rare class has its own, however small.
    few = np.array([[1, 0]] * 40 + [[0, 1]] * 2, np.float32)
    assert find_strata(few).tolist() == [0] * 40 + [1] * 2
