"""Compute each input's vector of each sample that has none in that input's cache, and cache it."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType
from pyspark.storagelevel import StorageLevel

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.bundle.predictor import OnnxNetwork
from serving.job import store
from serving.job.inputs import BackboneFile
from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.schemas import FEATURES
from spark_jobs.session import place_file
from spark_jobs.spec import StageParams
from spark_jobs.tables import mark_cached

Batches = Iterator[pa.RecordBatch]
VECTORS = pa.list_(pa.float32())


class Params(StageParams):
    """batch: pictures that a network sees at once."""

    batch: int = 8


@dataclass(frozen=True)
class Network:
    """An input's backbone as the executors have it: a file that was sent to them."""

    file_name: str
    preprocessing: Preprocessing


@functools.cache
def open_network(file_name: str) -> OnnxNetwork:
    """The backbone in this worker process, loaded once; one thread, for Spark fills the cores."""
    return OnnxNetwork(Path(SparkFiles.get(file_name)), threads=1)


def group_places(networks: Sequence[Network]) -> dict[Preprocessing, list[int]]:
    """Places of the networks that see the same pixels; those of the first one come first."""
    places: dict[Preprocessing, list[int]] = {}
    for place, network in enumerate(networks):
        places.setdefault(network.preprocessing, []).append(place)
    return places


class Picture(NamedTuple):
    """A row's number in its batch, and its pixels."""

    row: int
    pixels: codec.Pixels


class VectorMaker:
    """The vectors of one batch of rows: [network][row], None where there is none to make."""

    def __init__(self, networks: Sequence[Network], rows: int, batch_size: int) -> None:
        self._networks, self._batch_size = networks, batch_size
        self._waiting: list[list[Picture]] = [[] for _ in networks]
        self.vectors: list[list[object]] = [[None] * rows for _ in networks]

    def add(self, place: int, picture: Picture) -> None:
        """Run the network where a batch is full."""
        self._waiting[place].append(picture)
        if len(self._waiting[place]) == self._batch_size:
            self.flush(place)

    def flush(self, place: int) -> None:
        """Run the network on what is left."""
        waiting, network = self._waiting[place], self._networks[place]
        if waiting:
            pictures = codec.to_batch([one.pixels for one in waiting], network.preprocessing)
            found = open_network(network.file_name).run(pictures)
            for one, vector in zip(waiting, found, strict=True):
                self.vectors[place][one.row] = vector
            waiting.clear()


def _read_pixels(
    prepared: bytes | None, content: bytes | None, preprocessing: Preprocessing
) -> codec.Pixels | None:
    if prepared is not None:
        size = preprocessing.size
        return np.frombuffer(prepared, np.uint8).reshape(size, size, 3)
    return None if content is None else codec.prepare(content, preprocessing)


def make_extractor(networks: Sequence[Network], batch_size: int) -> Callable[[Batches], Batches]:
    """The function that runs in the executors: pixels and content → a vector per network.

    `missing` says which networks have to see a row; each picture is decoded once for all those
    that want the same pixels.
    """
    grouped = group_places(networks)

    def extract_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
        reasons = batch["reject_reason"].to_pylist()
        maker = VectorMaker(networks, batch.num_rows, batch_size)
        rows = batch.select(["pixels", "content", "missing"]).to_pylist()
        for preprocessing, places in grouped.items():
            fitted = preprocessing == networks[0].preprocessing
            for i, row in enumerate(rows):
                wanting = [place for place in places if place in row["missing"]]
                if not wanting or reasons[i] is not None:
                    continue
                try:
                    prepared = row["pixels"] if fitted else None
                    pixels = _read_pixels(prepared, row["content"], preprocessing)
                except codec.BadImageError as error:
                    reasons[i] = str(error)
                    continue
                if pixels is not None:
                    for place in wanting:
                        maker.add(place, Picture(i, pixels))
            for place in places:
                maker.flush(place)
        index = batch.schema.get_field_index("reject_reason")
        kept = batch.set_column(index, "reject_reason", make_array(reasons, pa.string()))
        kept = kept.drop_columns(["pixels", "content", "missing"])
        for place, vectors in enumerate(maker.vectors):
            kept = kept.append_column(name_vector(place), make_array(vectors, VECTORS))
        return kept

    def extract(batches: Batches) -> Batches:
        for batch in batches:
            yield extract_batch(batch)

    return extract


def name_vector(place: int) -> str:
    """Column of one network's vectors, until they are in its cache."""
    return f"vector_{place}"


def ship_network(context: StageContext, backbone: BackboneFile) -> str:
    """Send the backbone to every executor; the name it has there."""
    content = store.read_bytes(backbone.onnx_uri)
    if hashlib.sha256(content).hexdigest() != backbone.sha256:
        raise RuntimeError(f"{backbone.onnx_uri} is not the file it was: its sha256 differs")
    path = place_file(f"{backbone.sha256}.onnx", content)
    context.spark.sparkContext.addFile(str(path))
    return path.name


def drop_known_bytes(marked: DataFrame, networks: Sequence[Network]) -> DataFrame:
    """Add `missing`; bytes travel to the networks' process only where they are needed."""
    first, *others = group_places(networks).values()
    everything = F.array(*map(F.lit, range(len(networks))))
    wanted = F.array_except(everything, F.col("cached"))
    nothing = F.array().cast("array<int>")
    missing = F.when(F.col("reject_reason").isNull(), wanted).otherwise(nothing)
    rows = marked.withColumn("missing", missing)
    fitted = F.arrays_overlap("missing", F.array(*map(F.lit, first)))
    unfitted = F.lit(False)
    if others:
        places = [place for group in others for place in group]
        unfitted = F.arrays_overlap("missing", F.array(*map(F.lit, places)))
    return rows.withColumns(
        {
            "pixels": F.when(fitted, F.col("pixels")),
            "content": F.when(unfitted | (fitted & F.col("pixels").isNull()), F.col("content")),
        }
    )


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Fill the caches in one pass over the pictures.

    Rows come back as they were, with `features_made` and `features_reused`: vectors of that sample.
    """
    inputs = [one.input for one in context.inputs]
    # One backbone may see pictures that were fitted in several ways.
    files = {one.backbone.sha256: one.backbone for one in inputs}
    names = {sha256: ship_network(context, file) for sha256, file in files.items()}
    networks = [Network(names[one.backbone.sha256], one.preprocessing) for one in inputs]
    caches = [one.cache for one in context.inputs]
    lean = drop_known_bytes(mark_cached(samples, caches), networks)
    dropped = ("pixels", "content", "missing")
    fields = [field for field in lean.schema.fields if field.name not in dropped]
    columns = [name_vector(place) for place in range(len(networks))]
    vectors = [StructField(name, FEATURES["vector"].dataType) for name in columns]
    # Kept, so that decoding and the networks run once whatever follows.
    done = lean.mapInArrow(
        make_extractor(networks, params.batch), StructType([*fields, *vectors])
    ).persist(StorageLevel.MEMORY_AND_DISK)
    counts = done.agg(*[F.count(name).alias(name) for name in columns]).collect()[0]
    for name, cache in zip(columns, caches, strict=True):
        if counts[name]:
            made = done.where(F.col(name).isNotNull())
            cache.add(made.select("sha256", F.col(name).alias("vector")), counts[name])
    each = [F.col(name).isNotNull().cast("int") for name in columns]
    rows = done.withColumns(
        {
            "features_made": functools.reduce(Column.__add__, each),
            "features_reused": F.size("cached"),
            "pixels": F.lit(None).cast(BinaryType()),
        }
    )
    return context.raw.attach(rows.drop("cached", *columns))
