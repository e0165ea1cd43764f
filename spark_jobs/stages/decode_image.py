"""Decode and validate each picture, once; note its format and size.

A sample whose vector of the run's first input is cached was decoded before by this very codec and
preprocessing, so only its header is read. The others come out with their pixels as that input's
network will see them.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.spec import StageParams
from spark_jobs.tables import mark_cached

Batches = Iterator[pa.RecordBatch]
DECODED = pa.schema(
    [
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("format", pa.string()),
        pa.field("pixels", pa.binary()),
        pa.field("reject_reason", pa.string()),
    ]
)
FACTS = tuple(DECODED.names)


class Params(StageParams):
    """Limits beyond those of the codec, in pixels of the shorter side."""

    min_side: int = 1


def decode_one(
    content: bytes | None, cached: bool, preprocessing: Preprocessing, min_side: int
) -> dict[str, int | str | bytes | None]:
    """FACTS of one picture."""
    facts: dict[str, int | str | bytes | None] = dict.fromkeys(FACTS)
    try:
        header = codec.inspect(content or b"")
        facts |= {"width": header.width, "height": header.height, "format": header.format}
        if min(header.width, header.height) < min_side:
            facts["reject_reason"] = f"shorter side below {min_side} pixels"
        elif not cached:
            facts["pixels"] = codec.prepare(content or b"", preprocessing).tobytes()
    except codec.BadImageError as error:
        facts["reject_reason"] = str(error)
    return facts


def make_decoder(preprocessing: Preprocessing, min_side: int) -> Callable[[Batches], Batches]:
    """The function that runs in the executors."""

    def decode(batches: Batches) -> Batches:
        for batch in batches:
            rows = zip(
                batch["content"].to_pylist(),
                batch["cached"].to_pylist(),
                batch["reject_reason"].to_pylist(),
                strict=True,
            )
            # A sample that is left out is looked at as little as one that was decoded before.
            facts = [
                decode_one(content, cached or reason is not None, preprocessing, min_side)
                | ({} if reason is None else {"reject_reason": reason})
                for content, cached, reason in rows
            ]
            for field in DECODED:
                index = batch.schema.get_field_index(field.name)
                made = make_array([row[field.name] for row in facts], field.type)
                batch = batch.set_column(index, field.name, made)  # noqa: PLW2901
            yield batch

    return decode


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Decode in the executors."""
    first = context.inputs[0]
    marked = mark_cached(samples, [first.cache]).withColumn("cached", F.size("cached") > 0)
    decode = make_decoder(first.input.preprocessing, params.min_side)
    return marked.mapInArrow(decode, marked.schema).drop("cached")
