"""Compute the backbone's vector of each sample that has none in the cache, and cache it."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame
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

Batches = Iterator[pa.RecordBatch]
VECTORS = pa.list_(pa.float32())


class Params(StageParams):
    """batch: pictures that the network sees at once."""

    batch: int = 8


@functools.lru_cache(maxsize=1)
def open_network(file_name: str) -> OnnxNetwork:
    """The backbone in this worker process, loaded once; one thread, for Spark fills the cores."""
    return OnnxNetwork(Path(SparkFiles.get(file_name)), threads=1)


def _pixels(row: dict[str, bytes | None], preprocessing: Preprocessing) -> codec.Pixels | None:
    prepared, content = row["pixels"], row["content"]
    if prepared is not None:
        size = preprocessing.size
        return np.frombuffer(prepared, np.uint8).reshape(size, size, 3)
    return None if content is None else codec.prepare(content, preprocessing)


def make_extractor(
    file_name: str, preprocessing: Preprocessing, batch_size: int
) -> Callable[[Batches], Batches]:
    """The function that runs in the executors: pixels and content → vector."""

    def extract(batches: Batches) -> Batches:
        for batch in batches:
            vectors: list[object] = [None] * batch.num_rows
            reasons = batch["reject_reason"].to_pylist()
            waiting: list[tuple[int, codec.Pixels]] = []

            def run_network(waiting: list[tuple[int, codec.Pixels]], vectors: list[object]) -> None:
                pictures = codec.to_batch([p for _, p in waiting], preprocessing)
                found = open_network(file_name).run(pictures)
                for (i, _), vector in zip(waiting, found, strict=True):
                    vectors[i] = vector
                waiting.clear()

            for i, row in enumerate(batch.select(["pixels", "content"]).to_pylist()):
                try:
                    pixels = _pixels(row, preprocessing)
                except codec.BadImageError as error:
                    reasons[i] = str(error)
                    continue
                if pixels is not None:
                    waiting.append((i, pixels))
                if len(waiting) == batch_size:
                    run_network(waiting, vectors)
            if waiting:
                run_network(waiting, vectors)
            index = batch.schema.get_field_index("reject_reason")
            kept = batch.set_column(index, "reject_reason", make_array(reasons, pa.string()))
            kept = kept.drop_columns(["pixels", "content"])
            yield kept.append_column("vector", make_array(vectors, VECTORS))

    return extract


def ship_network(context: StageContext, backbone: BackboneFile) -> str:
    """Send the backbone to every executor; the name it has there."""
    content = store.read_bytes(backbone.onnx_uri)
    if hashlib.sha256(content).hexdigest() != backbone.sha256:
        raise RuntimeError(f"{backbone.onnx_uri} is not the file it was: its sha256 differs")
    path = place_file(f"{backbone.sha256}.onnx", content)
    context.spark.sparkContext.addFile(str(path))
    return path.name


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Fill the cache; rows come back as they were, with `features`: made, reused or null."""
    marked = context.features.mark(samples)
    wanted = ~F.col("cached") & F.col("reject_reason").isNull()
    # Bytes travel to the network's process only where they are needed.
    lean = marked.withColumns(
        {
            "pixels": F.when(wanted, F.col("pixels")),
            "content": F.when(wanted & F.col("pixels").isNull(), F.col("content")),
        }
    )
    extract = make_extractor(
        ship_network(context, context.backbone), context.preprocessing, params.batch
    )
    fields = [field for field in lean.schema.fields if field.name not in ("pixels", "content")]
    schema = StructType([*fields, StructField("vector", FEATURES["vector"].dataType)])
    # Kept, so that decoding and the network run once whatever follows.
    done = lean.mapInArrow(extract, schema).persist(StorageLevel.MEMORY_AND_DISK)
    made = done.where(F.col("vector").isNotNull()).select("sha256", "vector")
    count = made.count()
    if count:
        context.features.add(made, count)
    state = F.when(F.col("vector").isNotNull(), "made").when(F.col("cached"), "reused")
    rows = done.withColumns({"features": state, "pixels": F.lit(None).cast(BinaryType())})
    return context.raw.attach(rows.drop("vector", "cached"))
