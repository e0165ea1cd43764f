from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from serving.bundle import codec
from serving.job.errors import UserError
from training.spec import TrainSpec
from training.tasks.classification.data import read_probe, read_samples
from training.tasks.labels import PROBES

MakeSpec = Callable[..., TrainSpec]


def change_labels(spec: TrainSpec, folder: Path, keep: pa.Array) -> TrainSpec:
    labels = pq.read_table(spec.labels_uri.removeprefix("file://"))
    pq.write_table(labels.filter(keep(labels)), folder / "labels.parquet")
    return spec.model_copy(update={"labels_uri": (folder / "labels.parquet").as_uri()})


def test_train_and_val_are_read_and_test_never(make_spec: MakeSpec) -> None:
    samples = read_samples(make_spec())
    assert len(samples) == 84
    assert (~samples.val).sum() == 60
    assert np.bincount(samples.targets[~samples.val]).tolist() == [20, 20, 20]
    # None of them has a group: each is one of its own.
    assert len(np.unique(samples.groups)) == 84


def test_groups_are_read(make_spec: MakeSpec, tmp_path: Path) -> None:
    labels = pq.read_table(make_spec().labels_uri.removeprefix("file://"))
    place = labels.column_names.index("group")
    one = pa.array(["same"] * labels.num_rows, pa.string())
    pq.write_table(labels.set_column(place, "group", one), tmp_path / "labels.parquet")
    samples = read_samples(make_spec(labels_uri=(tmp_path / "labels.parquet").as_uri()))
    assert len(np.unique(samples.groups)) == 1


def test_order_of_rows_does_not_matter(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec()
    labels = pq.read_table(spec.labels_uri.removeprefix("file://"))
    backwards = labels.take(pa.array(range(labels.num_rows - 1, -1, -1)))
    pq.write_table(backwards, tmp_path / "labels.parquet")
    other = read_samples(make_spec(labels_uri=(tmp_path / "labels.parquet").as_uri()))
    assert read_samples(spec).sha256 == other.sha256
    np.testing.assert_array_equal(read_samples(spec).targets, other.targets)


def test_a_class_without_train_samples_is_named(make_spec: MakeSpec, tmp_path: Path) -> None:
    def keep(labels: pa.Table) -> pa.Array:
        in_train = pc.equal(labels["side"], "train")
        return pc.invert(pc.and_(in_train, pc.equal(labels["label"], "键盘")))

    with pytest.raises(UserError, match="键盘: no sample to train on"):
        read_samples(change_labels(make_spec(), tmp_path, keep))


def test_no_val_side(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = change_labels(make_spec(), tmp_path, lambda t: pc.not_equal(t["side"], "val"))
    with pytest.raises(UserError, match="none on the val side"):
        read_samples(spec)


def test_a_label_that_is_no_class(make_spec: MakeSpec) -> None:
    with pytest.raises(UserError, match=r"plain, .*not among the classes"):
        read_samples(make_spec(classes=("<b>bold</b>", "键盘")))


def test_probes_are_pictures_of_the_val_side(make_spec: MakeSpec) -> None:
    probe = read_probe(make_spec())
    assert len(probe.contents) == PROBES
    assert all(codec.inspect(content).format == "PNG" for content in probe.contents)
