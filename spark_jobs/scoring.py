"""Score raw bytes with the very bundles that would be served."""

import functools
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    DoubleType,
    IntegerType,
    StringType,
    StructField,
    StructType,
)

from serving.bundle import codec
from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE
from serving.bundle.predictor import Predictor
from serving.job import store
from spark_jobs.arrays import make_array
from spark_jobs.session import place_file

Batches = Iterator[pa.RecordBatch]
BATCH = 8
UNREADABLE = "(unreadable)"
SCORED = StructType(
    [
        StructField("sha256", StringType()),
        StructField("name", StringType()),
        StructField("label", StringType()),
        StructField("segment", StringType()),
        StructField("size_bytes", IntegerType()),
        StructField("predicted", StringType()),
        StructField("score", DoubleType()),
        StructField("champion_predicted", StringType()),
    ]
)


def pack_bundle(bundle_uri: str) -> Path:
    """Manifest and network of a bundle as one zip, named by its content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in (MANIFEST_FILE, MODEL_FILE):
            entry = zipfile.ZipInfo(name)
            archive.writestr(entry, store.read_bytes(store.join(bundle_uri, name)))
    content = buffer.getvalue()
    return place_file(f"bundle-{hashlib.sha256(content).hexdigest()[:20]}.zip", content)


def open_bundle(archive: Path) -> Predictor:
    """Load a packed bundle; raises BadBundleError."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        with zipfile.ZipFile(archive) as packed:
            for name in (MANIFEST_FILE, MODEL_FILE):
                packed.extract(name, folder)
        return Predictor(Path(folder), threads=1)


@functools.lru_cache(maxsize=2)
def _load(name: str) -> Predictor:
    """A bundle in this worker process, loaded once."""
    return open_bundle(Path(SparkFiles.get(name)))


Answer = tuple[str, float]


def score_pictures(predictor: Predictor, pictures: list[codec.Pixels]) -> list[Answer]:
    """Best label and its probability, for each picture."""
    answers: list[Answer] = []
    for start in range(0, len(pictures), BATCH):
        for scores in predictor.score(pictures[start : start + BATCH]):
            answers += codec.rank_labels(scores, predictor.manifest.classes, top=1)
    return answers


def _predict(names: tuple[str, ...], contents: list[bytes]) -> list[list[Answer]]:
    """Answers per bundle; each picture is prepared once where the bundles prepare alike."""
    predictors = [_load(name) for name in names]
    prepared: dict[str, list[codec.Pixels | None]] = {}
    answers = []
    for predictor in predictors:
        key = predictor.manifest.preprocessing.model_dump_json()
        if key not in prepared:
            prepared[key] = [_prepare(predictor, content) for content in contents]
        readable = [picture for picture in prepared[key] if picture is not None]
        found = iter(score_pictures(predictor, readable))
        answers.append(
            [(UNREADABLE, 1.0) if picture is None else next(found) for picture in prepared[key]]
        )
    return answers


def _prepare(predictor: Predictor, content: bytes) -> codec.Pixels | None:
    try:
        return predictor.prepare(content)
    except codec.BadImageError:
        return None


def make_scorer(names: tuple[str, ...]) -> Callable[[Batches], Batches]:
    """The function that runs in the executors: challenger first, then the champion if any."""

    def score(batches: Batches) -> Batches:
        for batch in batches:
            contents = batch["content"].to_pylist()
            answers = _predict(names, contents)
            champion = (
                [label for label, _ in answers[1]] if len(answers) > 1 else [None] * len(contents)
            )
            arrays = [batch[name] for name in ("sha256", "name", "label", "segment")]
            arrays += [
                make_array([len(content) for content in contents], pa.int32()),
                make_array([label for label, _ in answers[0]], pa.string()),
                make_array([score for _, score in answers[0]], pa.float64()),
                make_array(champion, pa.string()),
            ]
            yield pa.RecordBatch.from_arrays(arrays, SCORED.names)

    return score


def score_samples(spark: SparkSession, samples: DataFrame, bundles: tuple[Path, ...]) -> DataFrame:
    """Rows of SCORED for rows with sha256, name, label, segment, content."""
    for path in bundles:
        spark.sparkContext.addFile(str(path))
    chosen = samples.select("sha256", "name", "label", "segment", "content")
    return chosen.mapInArrow(make_scorer(tuple(path.name for path in bundles)), SCORED)
