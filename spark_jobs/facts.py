"""The facts cache: what each picture looks like, made once per sample, ever."""

import hashlib
from dataclasses import asdict, dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.types import BinaryType, FloatType, StringType, StructField, StructType

from serving.bundle import codec
from serving.job import store
from spark_jobs.arrays import make_array
from spark_jobs.near_duplicates.look import LOOK_VERSION, look_at
from spark_jobs.tables import FeatureCache

LOOK = StructType(
    [
        StructField("thumbnail", BinaryType()),
        StructField("frequencies", BinaryType()),
        StructField("sharpness", FloatType()),
        StructField("darkest", FloatType()),
        StructField("brightest", FloatType()),
    ]
)
FACTS = StructType([StructField("sha256", StringType()), *LOOK.fields])
MEASURES = ("sharpness", "darkest", "brightest")
# Columns between the stage that looks and the one that stores: `look` is null where it is cached.
COLUMNS = ("look", *MEASURES)
_ARROW = pa.struct(
    [
        ("thumbnail", pa.binary()),
        ("frequencies", pa.binary()),
        *((name, pa.float32()) for name in MEASURES),
    ]
)


def facts_key() -> str:
    """Hash of everything that decides a fact: the codec and the definition of a Look."""
    return hashlib.sha256(f"{codec.CODEC_VERSION}\n{LOOK_VERSION}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class FactsCache:
    """Facts by content; its files never change."""

    spark: SparkSession
    root_uri: str

    def _cache(self) -> FeatureCache:
        return FeatureCache(self.spark, self.root_uri, facts_key())

    @property
    def uri(self) -> str:
        """The key's folder."""
        return self._cache().uri

    def read(self) -> DataFrame:
        """Rows of FACTS, as they are there now; two runs at once may both have made one."""
        files = [store.join(self.uri, n) for n in store.list_names(self.uri) if n[0] != "."]
        if not files:
            return self.spark.createDataFrame([], FACTS)
        return self.spark.read.schema(FACTS).parquet(*files)

    def add(self, samples: DataFrame) -> int:
        """Store the looks of rows that carry one; how many there were."""
        fresh = samples.where(F.col("look").isNotNull()).select("sha256", "look.*")
        count = fresh.count()
        if count:
            self._cache().add(fresh, count)
        return count


def _look_or_none(content: bytes | None) -> dict[str, object] | None:
    if content is None:
        return None
    try:
        return asdict(look_at(content))
    except codec.BadImageError:
        return None


def _look_at_all(contents: pa.Array) -> pa.Array:
    """Runs in the executors; null where there is no picture."""
    return make_array([_look_or_none(content) for content in contents.to_pylist()], _ARROW)


def add_looks(samples: DataFrame, cache: FactsCache) -> DataFrame:
    """Add COLUMNS, decoding only what the cache lacks; nothing runs yet."""
    if set(COLUMNS) <= set(samples.columns):
        return samples
    known = cache.read().select("sha256", *MEASURES).dropDuplicates(["sha256"])
    known = known.select("sha256", F.struct(*MEASURES).alias("known"))
    marked = samples.join(F.broadcast(known), on="sha256", how="left")
    wanted = F.col("known").isNull() & F.col("reject_reason").isNull()
    # Its kind is told by the type hints; PySpark's own overloads do not know that way.
    looking = arrow_udf(_look_at_all, LOOK)  # type: ignore[call-overload]
    looked = marked.withColumn("look", looking(F.when(wanted, F.col("content"))))
    measures = {n: F.coalesce(F.col("look")[n], F.col("known")[n]) for n in MEASURES}
    return looked.withColumns(measures).drop("known")
