"""What the predict job writes of each picture, and the function in the executors that does."""

from collections.abc import Callable

import pyarrow as pa
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DoubleType,
    FloatType,
    StringType,
    StructField,
    StructType,
)

from serving.bundle import codec
from serving.bundle.labels import choose_labels, measure_sureness, write_labels
from serving.bundle.manifest import SEVERAL
from serving.bundle.predictor import Predictor, find_threshold
from spark_jobs.arrays import make_array
from spark_jobs.importing.source import RefusedFileError, Tree, explain_failure
from spark_jobs.scoring import NO_ANSWER, NO_NUMBERS, Answer, Batches, load_sent
from spark_jobs.scoring import score_pictures as score

# path: below the folder; or the sample's name. label: the best class, declined or not; score: its
# probability. Where a picture may have several labels, label is all that the server would say, a|b,
# or nothing, and score is how sure the least sure decision is. scores: in the order of the bundle's
# classes. declined: whether the server would say that it is none of the classes. These are null
# where there is no answer; error says why, and is null where there is one.
PREDICTED = StructType(
    [
        StructField("path", StringType()),
        StructField("label", StringType()),
        StructField("score", DoubleType()),
        StructField("scores", ArrayType(FloatType())),
        StructField("declined", BooleanType()),
        StructField("error", StringType()),
    ]
)


def make_answerer(bundle: str, tree: Tree | None = None) -> Callable[[Batches], Batches]:
    """The function that runs in the executors: rows with path → rows of PREDICTED.

    The bytes are the column content or, with a tree, what stands there at the column place.
    """

    def answer(batches: Batches) -> Batches:
        for batch in batches:
            predictor = load_sent(bundle)
            readable: list[codec.Pixels] = []
            errors: list[str | None] = []
            for value in batch["content" if tree is None else "place"].to_pylist():
                try:
                    content = value if tree is None else _read(tree, value)
                    readable.append(predictor.prepare(content))
                    errors.append(None)
                except codec.BadImageError as error:
                    errors.append(str(error))
            found = iter(score(predictor, readable))
            rows = [NO_ANSWER if error else next(found) for error in errors]
            for place, (label, _, _) in enumerate(rows):
                if label == NO_NUMBERS:
                    rows[place], errors[place] = NO_ANSWER, "the network answered no numbers"
            answers = [_say(predictor, row) for row in rows]
            labels, best, declined = ([one[n] for one in answers] for n in range(3))
            arrays = [
                batch["path"],
                make_array(labels, pa.string()),
                make_array(best, pa.float64()),
                make_array([scores for _, _, scores in rows], pa.list_(pa.float32())),
                make_array(declined, pa.bool_()),
                make_array(errors, pa.string()),
            ]
            yield pa.RecordBatch.from_arrays(arrays, PREDICTED.names)

    return answer


def _say(predictor: Predictor, row: Answer) -> tuple[str | None, float | None, bool | None]:
    """label, score and declined, as in PREDICTED."""
    label, score, scores = row
    if scores is None:
        return None, None, None
    manifest = predictor.manifest
    labels = choose_labels(scores, manifest, find_threshold(predictor))
    if manifest.task == SEVERAL:
        label, score = write_labels(labels), measure_sureness(scores, manifest)
    return label, score, not labels


def _read(tree: Tree, path: str) -> bytes:
    """A file whole; BadImageError where it is to blame, SourceDownError where HDFS is."""
    try:
        return tree.read(path)
    except RefusedFileError as error:
        raise codec.BadImageError(str(error)) from None
    except OSError as error:
        raise codec.BadImageError(explain_failure(error)) from None
