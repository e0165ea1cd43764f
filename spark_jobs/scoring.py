"""Score raw bytes with the very bundles that would be served."""

import functools
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    FloatType,
    IntegerType,
    StringType,
    StructField,
    StructType,
)

from serving.bundle import codec
from serving.bundle.labels import choose_labels, measure_sureness, write_labels
from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE
from serving.bundle.predictor import Predictor
from serving.job import store
from spark_jobs.arrays import make_array
from spark_jobs.session import place_file

Batches = Iterator[pa.RecordBatch]
BATCH = 8
UNREADABLE = "(unreadable)"
# What a network that is broken answers: no probabilities.
NO_NUMBERS = "(no numbers)"
# added: the day on which it came into the dataset, UTC; null where that is not known.
GIVEN = StructType(
    [
        StructField("sha256", StringType()),
        StructField("name", StringType()),
        StructField("label", StringType()),
        StructField("side", StringType()),
        StructField("group", StringType()),
        StructField("added", StringType()),
        StructField("segment", StringType()),
    ]
)
# predicted: where a picture may have several labels, as they are stored; empty: none of them.
# score: see measure_sureness. scores: probabilities in the order of the bundle's classes; null
# where there are none.
ANSWER = StructType(
    [
        StructField("predicted", StringType()),
        StructField("score", DoubleType()),
        StructField("scores", ArrayType(FloatType())),
    ]
)
CHAMPION = "champion_"
REFERENCE = "reference_"
# width, height: of the picture as it is stored, in pixels; null where it cannot be read.
SCORED = StructType(
    [
        *GIVEN.fields,
        StructField("size_bytes", IntegerType()),
        StructField("width", IntegerType()),
        StructField("height", IntegerType()),
        *ANSWER.fields,
        *(StructField(CHAMPION + field.name, field.dataType) for field in ANSWER.fields),
        StructField(REFERENCE + "predicted", StringType()),
    ]
)


def pack_bundle(bundle_uri: str, *, optional: tuple[str, ...] = ()) -> Path:
    """Manifest and network of a bundle as one zip, named by its content.

    optional: further files, where the bundle has them.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in (MANIFEST_FILE, MODEL_FILE):
            entry = zipfile.ZipInfo(name)
            archive.writestr(entry, store.read_bytes(store.join(bundle_uri, name)))
        for name in optional:
            with suppress(FileNotFoundError):
                found = store.read_bytes(store.join(bundle_uri, name))
                archive.writestr(zipfile.ZipInfo(name), found)
    content = buffer.getvalue()
    return place_file(f"bundle-{hashlib.sha256(content).hexdigest()[:20]}.zip", content)


def open_bundle(archive: Path) -> Predictor:
    """Load a packed bundle; raises BadBundleError."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        return Predictor(Path(folder), threads=1)


@functools.lru_cache(maxsize=3)
def load_sent(name: str) -> Predictor:
    """A bundle in this worker process, loaded once."""
    return open_bundle(Path(SparkFiles.get(name)))


Vector = npt.NDArray[np.float32]
# What is predicted, how sure that is, all probabilities.
Answer = tuple[str | None, float | None, Vector | None]
NO_ANSWER: Answer = (None, None, None)


def score_pictures(predictor: Predictor, pictures: list[codec.Pixels]) -> list[Answer]:
    """What the bundle says of each picture."""
    answers: list[Answer] = []
    for start in range(0, len(pictures), BATCH):
        for scores in predictor.score(pictures[start : start + BATCH]):
            if np.isfinite(scores).all():
                label = write_labels(choose_labels(scores, predictor.manifest))
                sure = measure_sureness(scores, predictor.manifest)
                answers.append((label, sure, scores))
            else:
                answers.append((NO_NUMBERS, None, None))
    return answers


def _predict(names: tuple[str, ...], contents: list[bytes]) -> list[list[Answer]]:
    """Answers per bundle; each picture is prepared once where the bundles prepare alike."""
    predictors = [load_sent(name) for name in names]
    prepared: dict[str, list[codec.Pixels | None]] = {}
    answers = []
    for predictor in predictors:
        key = predictor.manifest.preprocessing.model_dump_json()
        if key not in prepared:
            prepared[key] = [_prepare(predictor, content) for content in contents]
        readable = [picture for picture in prepared[key] if picture is not None]
        found = iter(score_pictures(predictor, readable))
        answers.append(
            [
                (UNREADABLE, 1.0, None) if picture is None else next(found)
                for picture in prepared[key]
            ]
        )
    return answers


def _prepare(predictor: Predictor, content: bytes) -> codec.Pixels | None:
    try:
        return predictor.prepare(content)
    except codec.BadImageError:
        return None


def _find_size(content: bytes) -> tuple[int | None, int | None]:
    try:
        facts = codec.inspect(content)
    except codec.BadImageError:
        return None, None
    return facts.width, facts.height


def _write_answers(answers: list[Answer]) -> list[pa.Array]:
    labels, best, scores = zip(*answers, strict=True)
    kinds = (pa.string(), pa.float64(), pa.list_(pa.float32()))
    columns = (labels, best, scores)
    return [make_array(values, kind) for values, kind in zip(columns, kinds, strict=True)]


def make_scorer(names: tuple[str | None, ...]) -> Callable[[Batches], Batches]:
    """The function that runs in the executors: challenger, champion, reference.

    names: None where there is none; may end early.
    """
    there = tuple(name for name in names if name is not None)

    def score(batches: Batches) -> Batches:
        for batch in batches:
            contents = batch["content"].to_pylist()
            if not contents:
                continue
            found = dict(zip(there, _predict(there, contents), strict=True))
            nothing = [NO_ANSWER] * len(contents)
            own, champion, reference = (
                nothing if name is None else found[name] for name in (*names, None, None)[:3]
            )
            sizes = zip(*map(_find_size, contents), strict=True)
            arrays = [batch[name] for name in GIVEN.names]
            arrays.append(make_array([len(content) for content in contents], pa.int32()))
            arrays += [make_array(values, pa.int32()) for values in sizes]
            arrays += [*_write_answers(own), *_write_answers(champion)]
            arrays.append(_write_answers(reference)[0])
            yield pa.RecordBatch.from_arrays(arrays, SCORED.names)

    return score


def score_samples(
    spark: SparkSession, samples: DataFrame, bundles: tuple[Path | None, ...]
) -> DataFrame:
    """Rows of SCORED for rows of GIVEN with their content; bundles: as of make_scorer."""
    for path in bundles:
        if path is not None:
            spark.sparkContext.addFile(str(path))
    chosen = samples.select(*GIVEN.names, "content")
    return chosen.mapInArrow(
        make_scorer(tuple(None if path is None else path.name for path in bundles)), SCORED
    )


def select_champion(scored: DataFrame) -> DataFrame:
    """The champion's answers in the place of the challenger's."""
    answers = [F.col(CHAMPION + name).alias(name) for name in ANSWER.names]
    others = [name for name in scored.columns if name.removeprefix(CHAMPION) not in ANSWER.names]
    return scored.select(*others, *answers)
