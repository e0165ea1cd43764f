"""The pairs cache: what comparing two pictures found, done once per pair, ever."""

import hashlib
import io
import uuid
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import FloatType, StringType, StructField, StructType

from serving.job import store
from spark_jobs.arrays import make_array
from spark_jobs.facts import facts_key
from spark_jobs.near_duplicates.confirm import COMPARE_VERSION

# a and b: hashes of two pictures, the smaller first. difference: as compare_thumbnails tells it.
PAIRS = StructType(
    [
        StructField("a", StringType()),
        StructField("b", StringType()),
        StructField("difference", FloatType()),
    ]
)
_ARROW = pa.schema([("a", pa.string()), ("b", pa.string()), ("difference", pa.float32())])
PAIRS_PER_FILE = 200_000

Pair = tuple[str, str]
Numbers = npt.NDArray[np.int32]
Differences = npt.NDArray[np.float32]


def pairs_key(allowed: float) -> str:
    """Hash of everything that decides a difference: the looks, the comparing, its limit, NumPy."""
    parts = (facts_key(), COMPARE_VERSION, repr(float(allowed)), np.__version__)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class PairsCache:
    """Differences by content; its files never change."""

    spark: SparkSession
    root_uri: str

    def locate(self, allowed: float) -> str:
        """The key's folder."""
        return store.join(self.root_uri, pairs_key(allowed))

    def find(self, asked: DataFrame, allowed: float) -> tuple[Numbers, Differences]:
        """asked: `number`, `a`, `b`; numbers and differences of those that are known.

        A number may come twice: two runs at once may both have compared a pair.
        """
        folder = self.locate(allowed)
        names = [name for name in store.list_names(folder) if name.endswith(".parquet")]
        if not names:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        files = [store.join(folder, name) for name in names]
        known = self.spark.read.schema(PAIRS).parquet(*files)
        # No hint: where many are asked for, neither side fits into each executor's memory.
        found = known.join(asked, on=["a", "b"], how="inner").select("number", "difference")
        table = found.toArrow()
        return table["number"].to_numpy(), table["difference"].to_numpy()

    def add(self, pairs: list[Pair], differences: Differences, allowed: float) -> None:
        """Write new ones aside, then move them in under names that no one else has."""
        token, folder = uuid.uuid4().hex, self.locate(allowed)
        for number, at in enumerate(range(0, len(pairs), PAIRS_PER_FILE)):
            part = pairs[at : at + PAIRS_PER_FILE]
            table = pa.table(
                {
                    "a": make_array([a for a, _ in part], pa.string()),
                    "b": make_array([b for _, b in part], pa.string()),
                    "difference": make_array(
                        differences[at : at + PAIRS_PER_FILE].tolist(), pa.float32()
                    ),
                },
                schema=_ARROW,
            )
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            aside = store.join(self.root_uri, ".tmp", token, f"{number}.parquet")
            store.write_bytes(aside, buffer.getvalue())
            target = store.join(folder, f"{token}-{number}.parquet")
            if not store.rename(aside, target):
                raise RuntimeError(f"{target} could not be written")
        store.delete(store.join(self.root_uri, ".tmp", token))
