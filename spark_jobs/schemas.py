"""Columns that the stages pass on, and the one way to reject a row."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

# A sample as MongoDB holds it. Given outright: the connector would sample documents to guess it.
MONGO_SAMPLE = StructType(
    [
        StructField("sha256", StringType()),
        StructField("name", StringType()),
        StructField("segment", StringType()),
        StructField("size_bytes", LongType()),
        StructField("split", StringType()),
        StructField("side", StringType()),
        StructField("side_origin", StringType()),
        StructField("side_at", TimestampType()),
        StructField("group", StringType()),
        StructField(
            "history",
            ArrayType(
                StructType(
                    [
                        StructField("at", TimestampType()),
                        StructField("label", StringType()),
                        StructField("state", StringType()),
                    ]
                )
            ),
        ),
    ]
)
RAW = StructType(
    [
        StructField("sha256", StringType()),
        StructField("name", StringType()),
        StructField("content", BinaryType()),
    ]
)
# One row per sample. width, height and format are facts of the decoded picture; pixels holds
# [size, size, 3] bytes between decoding and features, for samples without a cached vector.
# side_origin: who gave the side, spec.Origin; null where there is none, or an old one.
# flags: what is doubtful about the picture. near: near-duplicates of the sample's own label, its
# group. follows: samples outside the group whose side it takes while it has none.
SAMPLES = StructType(
    [
        StructField("sha256", StringType()),
        StructField("name", StringType()),
        StructField("label", StringType()),
        StructField("group", StringType()),
        StructField("split", StringType()),
        StructField("side", StringType()),
        StructField("side_origin", StringType()),
        StructField("segment", StringType()),
        StructField("size_bytes", LongType()),
        StructField("content", BinaryType()),
        StructField("width", IntegerType()),
        StructField("height", IntegerType()),
        StructField("format", StringType()),
        StructField("pixels", BinaryType()),
        StructField("flags", ArrayType(StringType())),
        StructField("near", ArrayType(StringType())),
        StructField("follows", ArrayType(StringType())),
        StructField("reject_reason", StringType()),
    ]
)
# Columns that a stage may add: how much a sample of the train side counts in training. Where no
# stage adds them, each counts as one. sample_weight: factor of its loss. sample_repeats: how often
# the trainer sees it in an epoch.
WEIGHTS = StructType(
    [StructField("sample_weight", DoubleType()), StructField("sample_repeats", LongType())]
)
FEATURES = StructType(
    [StructField("sha256", StringType()), StructField("vector", ArrayType(FloatType()))]
)


def reject(samples: DataFrame, condition: Column, reason: str) -> DataFrame:
    """Set reject_reason where the condition holds and no earlier reason stands."""
    first = F.col("reject_reason").isNull() & F.coalesce(condition, F.lit(False))
    return samples.withColumn(
        "reject_reason", F.when(first, F.lit(reason)).otherwise(F.col("reject_reason"))
    )
