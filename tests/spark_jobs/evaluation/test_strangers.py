"""The samples that unknown things are estimated by: of train and val, each once, not too many."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spark_jobs import strangers

CLASSES = ("a", "b", "c", "d")
SIDES = ("train", "train", "val", "test")


def write_samples(folder: Path) -> tuple[str, str]:
    """40 of each class, a quarter of them test; some vectors twice, one sample without."""
    chance = np.random.default_rng(1)
    rows = [
        {
            "sha256": f"{number:064}",
            "label": CLASSES[number % 4],
            "side": SIDES[number // 4 % 4],
            "vector": (4 * np.eye(4)[number % 4] + chance.normal(0, 0.5, 4)).tolist(),
        }
        for number in range(160)
    ]
    vectors = pa.list_(pa.float32())
    (folder / "features").mkdir()
    for name, part in (("0", rows[:100]), ("1", rows[60:159])):
        columns = {
            "sha256": pa.array([row["sha256"] for row in part]),
            "vector": pa.array([row["vector"] for row in part], vectors),
        }
        pq.write_table(pa.table(columns), folder / "features" / f"{name}.parquet")
    labels = {name: pa.array([row[name] for row in rows]) for name in ("sha256", "label", "side")}
    pq.write_table(pa.table(labels), folder / "labels.parquet")
    return (folder / "labels.parquet").as_uri(), (folder / "features").as_uri()


def test_of_train_and_val_each_once(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels_uri, features_uri = write_samples(tmp_path)
    found = strangers.measure_unknown(spark, labels_uri, features_uri, CLASSES)
    assert found is not None
    assert {one.label: one.samples for one in found.by_class} == dict.fromkeys(CLASSES, 30)
    assert found.roc_auc > 0.95
    # A class has 20 train and 10 val samples: 16 and 10 of these are within the bounds.
    monkeypatch.setattr(strangers, "MOST_SAMPLES", 64)
    fewer = strangers.measure_unknown(spark, labels_uri, features_uri, CLASSES)
    assert fewer is not None
    assert {one.samples for one in fewer.by_class} == {26}
    none = (tmp_path / "none").as_uri()
    assert strangers.measure_unknown(spark, labels_uri, none, CLASSES) is None
    assert strangers.measure_unknown(spark, labels_uri, features_uri, ("no", "such")) is None
