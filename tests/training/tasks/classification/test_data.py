from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from serving.bundle import codec
from serving.job.errors import UserError
from tests.training.conftest import make_input
from training.spec import TrainSpec
from training.tasks.classification.data import PROBES, read_probe, read_sides, read_vectors

MakeSpec = Callable[..., TrainSpec]


def change_labels(spec: TrainSpec, folder: Path, keep: pa.Array) -> TrainSpec:
    labels = pq.read_table(spec.labels_uri.removeprefix("file://"))
    pq.write_table(labels.filter(keep(labels)), folder / "labels.parquet")
    return spec.model_copy(update={"labels_uri": (folder / "labels.parquet").as_uri()})


def test_train_and_val_are_read_and_test_never(make_spec: MakeSpec) -> None:
    sides = read_sides(make_spec())
    assert sides.train.inputs.shape == (60, 1280)
    assert sides.val.inputs.shape == (24, 1280)
    assert np.bincount(sides.train.targets).tolist() == [20, 20, 20]


def test_order_of_rows_does_not_matter(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    labels = pq.read_table(spec.labels_uri.removeprefix("file://"))
    backwards = labels.take(pa.array(range(labels.num_rows - 1, -1, -1)))
    pq.write_table(backwards, tmp_path / "labels.parquet")
    other = read_sides(make_spec(labels_uri=(tmp_path / "labels.parquet").as_uri()))
    np.testing.assert_array_equal(read_sides(spec).train.inputs, other.train.inputs)


def test_vectors_of_others_are_left_alone(make_spec: MakeSpec) -> None:
    assert list(read_vectors(make_spec().inputs[0].features_uri, pa.array(["0" * 64]))) == [
        "0" * 64
    ]


def test_missing_features_are_counted(make_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    with pytest.raises(UserError, match=r"84 of 84 samples have no features in file:.*Run etl"):
        read_sides(make_spec(inputs=(make_input(tmp_path / "features"),)))


def test_a_class_without_train_samples_is_named(make_spec: MakeSpec, tmp_path: Path) -> None:
    def keep(labels: pa.Table) -> pa.Array:
        in_train = pc.equal(labels["side"], "train")
        return pc.invert(pc.and_(in_train, pc.equal(labels["label"], "键盘")))

    with pytest.raises(UserError, match="'键盘': no sample to train on"):
        read_sides(change_labels(make_spec(), tmp_path, keep))


def test_no_val_side(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = change_labels(make_spec(), tmp_path, lambda t: pc.not_equal(t["side"], "val"))
    with pytest.raises(UserError, match="none on the val side"):
        read_sides(spec)


def test_a_label_that_is_no_class(make_spec: MakeSpec) -> None:
    with pytest.raises(UserError, match=r"'plain'.*not among the classes"):
        read_sides(make_spec(classes=("<b>bold</b>", "键盘")))


def test_probes_are_pictures_of_the_val_side(make_spec: MakeSpec) -> None:
    probe = read_probe(make_spec())
    assert len(probe.contents) == PROBES
    assert all(codec.inspect(content).format == "PNG" for content in probe.contents)
