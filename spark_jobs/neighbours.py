"""The train samples that look most like a few others, by the features that the model saw."""

from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from serving.job import store
from serving.job.evaluation import Neighbour
from spark_jobs.arrays import make_array, read_matrix
from spark_jobs.schemas import FEATURES

Batches = Iterator[pa.RecordBatch]
Vectors = npt.NDArray[np.float32]
NEAREST = 3
FOUND = "query int, sha256 string, similarity float"


def read_vectors(spark: SparkSession, features_uri: str) -> DataFrame | None:
    """Rows of FEATURES of one input; None: there are none."""
    names = [name for name in store.list_names(features_uri) if name.endswith(".parquet")]
    files = [store.join(features_uri, name) for name in names]
    return spark.read.schema(FEATURES).parquet(*files) if files else None


def scale_rows(vectors: Vectors) -> Vectors:
    """To length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def make_search(queries: Vectors) -> Callable[[Batches], Batches]:
    """Runs in the executors: rows of FEATURES → the nearest of a partition to each query."""

    def search(batches: Batches) -> Batches:
        count = len(queries)
        similar = np.zeros((count, 0), np.float32)
        names = np.zeros((count, 0), "S64")
        for batch in batches:
            there, matrix = read_matrix(batch["vector"], queries.shape[1])
            fresh = np.array(batch["sha256"].to_pylist(), "S64")[there]
            similar = np.concatenate((similar, queries @ scale_rows(matrix).T), axis=1)
            names = np.concatenate((names, np.broadcast_to(fresh, (count, len(fresh)))), axis=1)
            best = np.argsort(-similar, axis=1, kind="stable")[:, :NEAREST]
            similar = np.take_along_axis(similar, best, axis=1)
            names = np.take_along_axis(names, best, axis=1)
        arrays = [
            make_array(np.repeat(np.arange(count), names.shape[1]).tolist(), pa.int32()),
            make_array([name.decode() for name in names.ravel()], pa.string()),
            make_array(similar.ravel().tolist(), pa.float32()),
        ]
        yield pa.RecordBatch.from_arrays(arrays, ["query", "sha256", "similarity"])

    return search


def find_neighbours(
    spark: SparkSession, features_uri: str, train: DataFrame, wanted: Collection[str]
) -> dict[str, tuple[Neighbour, ...]]:
    """sha256 of each wanted sample → its nearest of the train samples, nearest first.

    train: sha256, name, label. Samples without a vector are left out.
    """
    vectors = read_vectors(spark, features_uri)
    if vectors is None or not wanted:
        return {}
    mine = vectors.where(F.col("sha256").isin(sorted(wanted))).dropDuplicates(["sha256"])
    queries = [(row["sha256"], row["vector"]) for row in mine.orderBy("sha256").collect()]
    if not queries:
        return {}
    matrix = scale_rows(np.array([vector for _, vector in queries], np.float32))
    # Two runs at once may both have made a vector: a twin must not take another's place.
    known = vectors.join(train.select("sha256"), on="sha256", how="left_semi")
    others = known.dropDuplicates(["sha256"])
    found = others.mapInArrow(make_search(matrix), FOUND)
    order = Window.partitionBy("query").orderBy(F.desc("similarity"), "sha256")
    nearest = found.withColumn("place", F.row_number().over(order))
    rows = nearest.where(F.col("place") <= NEAREST).join(train, on="sha256", how="inner")
    answers: dict[str, tuple[Neighbour, ...]] = {}
    for row in rows.orderBy("query", "place").collect():
        one = Neighbour(
            sha256=row["sha256"],
            name=row["name"],
            label=row["label"],
            similarity=row["similarity"],
        )
        sha256 = queries[row["query"]][0]
        answers[sha256] = (*answers.get(sha256, ()), one)
    return answers
