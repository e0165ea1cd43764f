"""The features of some train and val samples, for how well unknown things would be told."""

import numpy as np
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from serving.job.evaluation import Unknown
from spark_jobs.arrays import read_matrix
from spark_jobs.metrics.declining import ACCEPTED
from spark_jobs.metrics.leaving_out import MOST_CLASSES, leave_classes_out
from spark_jobs.metrics.rows import place_labels
from spark_jobs.neighbours import read_vectors

# Of each side, and at least so many of a class: heads of more are hardly better.
MOST_SAMPLES, FEWEST_OF_A_CLASS = 3000, 10


def _read_sides(spark: SparkSession, labels_uri: str, classes: tuple[str, ...]) -> DataFrame:
    """sha256, label, side of train and val; of large classes those of the lowest hashes."""
    labels = spark.read.parquet(labels_uri).select("sha256", "label", "side")
    wanted = labels.where(F.col("side").isin("train", "val") & F.col("label").isin(*classes))
    order = Window.partitionBy("label", "side").orderBy("sha256")
    most = max(FEWEST_OF_A_CLASS, MOST_SAMPLES // len(classes))
    numbered = wanted.withColumn("number", F.row_number().over(order))
    return numbered.where(F.col("number") <= most).drop("number")


def measure_unknown(
    spark: SparkSession, labels_uri: str, features_uri: str, classes: tuple[str, ...]
) -> Unknown | None:
    """None where it cannot be told: see leave_classes_out; or there are no features."""
    vectors = read_vectors(spark, features_uri)
    if vectors is None or len(classes) > MOST_CLASSES:
        return None
    asked = F.broadcast(_read_sides(spark, labels_uri, classes))
    rows = vectors.join(asked, on="sha256", how="inner").dropDuplicates(["sha256"])
    table = rows.where(F.col("vector").isNotNull()).toArrow().sort_by("sha256").combine_chunks()
    if not table.num_rows:
        return None
    column = table["vector"].chunk(0)
    _, matrix = read_matrix(column, len(column[0]))
    targets = place_labels(table["label"].to_pylist(), classes)
    learned = np.array([side == "train" for side in table["side"].to_pylist()], np.bool_)
    return leave_classes_out(matrix, targets, learned, classes, ACCEPTED)
