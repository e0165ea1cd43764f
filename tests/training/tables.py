"""A snapshot made from vectors, without pictures."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tests.training.conftest import make_input


def write_table(
    folder: Path, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, val: float
) -> dict[str, Any]:
    """Labels and features of rows [n, d], a share of them on the val side: fields of a spec."""
    (folder / "features").mkdir(parents=True)
    names = [
        hashlib.sha256(row.tobytes() + bytes([i % 251])).hexdigest()
        for i, row in enumerate(features)
    ]
    held = np.random.default_rng(1).random(len(labels)) < val
    rows = [
        {
            "sha256": name,
            "label": str(label),
            "group": None,
            "side": "val" if is_val else "train",
            "segment": "",
            "name": "",
        }
        for name, label, is_val in zip(names, labels, held, strict=True)
    ]
    columns = ("sha256", "label", "group", "side", "segment", "name")
    types = pa.schema([(name, pa.string()) for name in columns])
    pq.write_table(pa.Table.from_pylist(rows, types), folder / "labels.parquet")
    vectors = pa.array(list(features), pa.list_(pa.float32()))
    table = pa.table({"sha256": names, "vector": vectors})
    pq.write_table(table, folder / "features" / "part-0.parquet")
    given = make_input(folder / "features", features=features.shape[1])
    return {"labels_uri": (folder / "labels.parquet").as_uri(), "inputs": (given,)}
