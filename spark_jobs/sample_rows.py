"""Rows of SAMPLES by hand: what a stage's test gives it."""

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame, SparkSession

from spark_jobs.schemas import SAMPLES


def make_samples(spark: SparkSession, rows: Sequence[Mapping[str, object]]) -> DataFrame:
    """A row each; columns that are not named are null, but for sha256, which counts the rows."""
    unknown = {name for row in rows for name in row} - set(SAMPLES.names)
    if unknown:
        raise ValueError(
            f"SAMPLES has no column {', '.join(sorted(unknown))}: it has {', '.join(SAMPLES.names)}"
        )
    filled = [{"sha256": f"{number:064x}", **row} for number, row in enumerate(rows)]
    return spark.createDataFrame(
        [tuple(row.get(name) for name in SAMPLES.names) for row in filled], SAMPLES
    )
