"""Where the data jobs read and write tables: MongoDB, raw segments, the feature cache."""

import functools
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.bundle.codec import CODEC_VERSION
from serving.bundle.manifest import Preprocessing
from serving.bundle.predictor import import_onnxruntime
from serving.job import store
from serving.job.errors import UserError
from serving.job.mongo import DATABASE, mongo_uri
from spark_jobs.database import connect
from spark_jobs.schemas import FEATURES, MONGO_SAMPLE, RAW, SAMPLES
from spark_jobs.session import make_frame

VECTORS_PER_FILE = 20_000
# The reason that samples come with which are there to bind others: no stage has to look at them.
INACTIVE = "not active: "
# The others ask for collStats or $sample, which the embedded server lacks.
PARTITIONER = "com.mongodb.spark.sql.connector.read.partitioner.SinglePartitionPartitioner"


def check_dataset(dataset: str) -> None:
    """UserError where there is no such dataset, or nothing in it."""
    with connect() as database:
        if database["samples"].find_one({"dataset": dataset}, {"_id": 1}) is not None:
            return
        there = sorted(database["datasets"].distinct("_id"))
    raise UserError(
        f"Dataset {dataset!r} has no samples. Datasets that exist: "
        f"{', '.join(there) or 'none'}. Import pictures first: modelmill import FOLDER --dataset "
        f"{dataset}."
    )


def list_segments(dataset: str) -> list[str]:
    """File names of the segments that samples refer to; others may be half written."""
    with connect() as database:
        uris = database["samples"].distinct("segment", {"dataset": dataset})
    return sorted(uri.rsplit("/", 1)[-1] for uri in uris)


def read_samples(spark: SparkSession, dataset: str, cutoff: datetime, raw_uri: str) -> DataFrame:
    """Samples as they were at the cut-off, one row each; no bytes yet.

    Those that are active; and those that are not but have a side, as rejected ones: whatever
    resembles them has to go to that side, for they may come back, and models may have seen them.
    Once they are purged nobody can tell any more what resembles them.
    """
    stored = (
        spark.read.format("mongodb")
        .schema(MONGO_SAMPLE)
        .option("connection.uri", mongo_uri())
        .option("database", DATABASE)
        .option("collection", "samples")
        .option("aggregation.pipeline", f'[{{"$match": {{"dataset": "{dataset}"}}}}]')
        .option("partitioner", PARTITIONER)
        .load()
    )
    return select_state(stored, cutoff, raw_uri)


def select_state(stored: DataFrame, cutoff: datetime, raw_uri: str) -> DataFrame:
    """The last history entry up to the cut-off decides label and state."""
    past = F.filter("history", lambda entry: entry["at"] <= F.lit(cutoff))
    latest = stored.withColumn("latest", F.try_element_at(past, F.lit(-1)))
    active = F.col("latest.state") == "active"
    # As of the cut-off, too: a side that a later run gave would change what this one decides.
    stands = F.col("side_at").isNull() | (F.col("side_at") <= F.lit(cutoff))
    side, origin = (F.when(stands, F.col(name)).alias(name) for name in ("side", "side_origin"))
    known = F.col("latest").isNotNull() & stands & F.col("side").isNotNull()
    return latest.where(active | known).select(
        "sha256",
        "name",
        F.col("latest.label").alias("label"),
        "group",
        "split",
        side,
        origin,
        # A segment is known by its name: the store's address may have changed since.
        F.concat(F.lit(raw_uri.rstrip("/") + "/"), F.substring_index("segment", "/", -1)).alias(
            "segment"
        ),
        "size_bytes",
        F.when(~active, F.concat(F.lit(INACTIVE), "latest.state")).alias("reject_reason"),
    )


@dataclass(frozen=True)
class RawContent:
    """A dataset's raw segments, those that are there."""

    spark: SparkSession
    uris: tuple[str, ...]

    def read(self) -> DataFrame:
        """sha256, content and the segment's file name."""
        if not self.uris:
            empty = self.spark.createDataFrame([], RAW)
            return empty.select("sha256", "content", F.lit("").alias("file"))
        files = self.spark.read.schema(RAW).parquet(*self.uris)
        return files.select("sha256", "content", F.col("_metadata.file_name").alias("file"))

    def join_to(self, samples: pa.Table) -> DataFrame:
        """Rows of SAMPLES for those samples whose bytes are there; the bytes are not moved."""
        wanted = make_frame(self.spark, samples)
        wanted = wanted.withColumn("file", F.substring_index("segment", "/", -1))
        joined = self.read().join(F.broadcast(wanted), on=["sha256", "file"], how="inner")
        return joined.select(
            *[
                F.col(field.name)
                if field.name in joined.columns
                else F.lit(None).cast(field.dataType).alias(field.name)
                for field in SAMPLES.fields
            ]
        )

    def attach(self, samples: DataFrame) -> DataFrame:
        """Give rows without bytes their bytes back.

        Keys are made distinct so that Spark leaves the join out wherever nobody reads `content`.
        """
        raw = self.read().select("sha256", "content").dropDuplicates(["sha256"])
        return samples.join(raw, on="sha256", how="left")


def find_raw(spark: SparkSession, dataset: str, raw_uri: str) -> RawContent:
    """The segments that the dataset's samples lie in."""
    there = set(store.list_names(raw_uri))
    names = [name for name in list_segments(dataset) if name in there]
    return RawContent(spark, tuple(store.join(raw_uri, name) for name in names))


def feature_key(backbone_sha256: str, preprocessing: Preprocessing) -> str:
    """Hash of everything that decides a vector: codec, preprocessing, network, runtime."""
    parts = (
        CODEC_VERSION,
        preprocessing.model_dump_json(),
        backbone_sha256,
        import_onnxruntime().__version__,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class FeatureCache:
    """Vectors by content, made once per sample and key; its files never change."""

    spark: SparkSession
    root_uri: str
    key: str

    @property
    def uri(self) -> str:
        """The key's folder."""
        return store.join(self.root_uri, self.key)

    @functools.cached_property
    def _files(self) -> list[str]:
        names = store.list_names(self.uri)
        return [store.join(self.uri, name) for name in names if name.endswith(".parquet")]

    def read_keys(self) -> DataFrame | None:
        """sha256 of each vector, twice where two runs at once both made it; None: it is empty."""
        if not self._files:
            return None
        return self.spark.read.schema(FEATURES).parquet(*self._files).select("sha256")

    def add(self, vectors: DataFrame, count: int) -> None:
        """Write new vectors aside, then move them in under names that no one else has."""
        token = uuid.uuid4().hex
        aside = store.join(self.root_uri, ".tmp", token)
        store.make_folder(self.uri)
        parts = -(-count // VECTORS_PER_FILE)
        vectors.coalesce(parts).write.parquet(aside)
        names = [n for n in store.list_names(aside) if n.endswith(".parquet")]
        for number, name in enumerate(names):
            target = store.join(self.uri, f"{token}-{number}.parquet")
            if not store.rename(store.join(aside, name), target):
                raise RuntimeError(f"{target} could not be written")
        store.delete(aside)


def mark_cached(samples: DataFrame, caches: Sequence[FeatureCache]) -> DataFrame:
    """Add `cached`: places in `caches` of those that hold the sample's vector; one join for all."""
    found = [(place, cache.read_keys()) for place, cache in enumerate(caches)]
    placed = [keys.withColumn("place", F.lit(place)) for place, keys in found if keys is not None]
    nowhere = F.array().cast("array<int>")
    if not placed:
        return samples.withColumn("cached", nowhere)
    keys = functools.reduce(DataFrame.unionByName, placed).groupBy("sha256")
    places = keys.agg(F.collect_set("place").alias("cached"))
    marked = samples.join(F.broadcast(places), on="sha256", how="left")
    return marked.withColumn("cached", F.coalesce("cached", nowhere))
