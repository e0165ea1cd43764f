"""The nearest train samples are those that a plain comparison of all finds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from spark_jobs.neighbours import find_neighbours
from spark_jobs.session import make_frame


def test_nearest_of_all(spark: SparkSession, tmp_path: Path) -> None:
    """In three files, one of which holds vectors that another has, too."""
    vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    names = [f"{number:064}" for number in range(200)]
    for part, rows in enumerate((range(80), range(80, 200), range(40, 90))):
        table = {
            "sha256": pa.array([names[row] for row in rows]),
            "vector": pa.array([vectors[row].tolist() for row in rows], pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(table), tmp_path / f"{part}.parquet")
    train = pa.table(
        {
            "sha256": pa.array(names[:150]),
            "name": pa.array([f"{number}.png" for number in range(150)]),
            "label": pa.array(["even", "odd"] * 75),
        }
    )
    frame = make_frame(spark, train)
    found = find_neighbours(spark, tmp_path.as_uri(), frame, [*names[150:153], "unknown"])
    assert set(found) == set(names[150:153])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for number in range(150, 153):
        similar = unit[:150] @ unit[number]
        best = np.argsort(-similar)[:3]
        assert [one.sha256 for one in found[names[number]]] == [names[place] for place in best]
        assert [one.label for one in found[names[number]]] == [
            ("even", "odd")[place % 2] for place in best
        ]
        wanted = similar[best]
        np.testing.assert_allclose(
            [one.similarity for one in found[names[number]]], wanted, atol=1e-6
        )
    assert find_neighbours(spark, tmp_path.as_uri(), frame, ["unknown"]) == {}
    assert find_neighbours(spark, (tmp_path / "none").as_uri(), frame, names[:1]) == {}
