"""What speaks for a mistake, from features, facts and scores; and the queue that it goes to."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from serving.bundle.manifest import MODEL_FILE, SEVERAL
from serving.bundle.operating_point import OperatingPoint, hash_model
from serving.job import store
from serving.job.evaluation import BadCases, Evaluation
from serving.job.inputs import InputFeatures
from serving.job.reviews import list_reviews
from serving.job.suspects import Suspects
from spark_jobs.evaluate import run_evaluate
from spark_jobs.facts import MEASURES, FactsCache
from spark_jobs.judgement import find_chosen_on
from spark_jobs.snapshots import LABELS_FILE
from spark_jobs.spec import EvaluateSpec
from tests.spark_jobs.evaluation.outcomes import TRAINED_ON, check_outcome
from tests.spark_jobs.tiny import (
    CLASSES,
    PREPROCESSING,
    write_backbone,
)


def write_features(folder: Path, vectors: dict[str, list[float]]) -> InputFeatures:
    folder.mkdir()
    columns = {
        "sha256": pa.array(list(vectors)),
        "vector": pa.array(list(vectors.values()), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), folder / "0.parquet")
    backbone = write_backbone(folder)
    uri = folder.as_uri()
    return InputFeatures(backbone=backbone, preprocessing=PREPROCESSING, features_uri=uri)


def test_what_speaks_for_a_mistake(
    spec: EvaluateSpec, tmp_path: Path, spark: SparkSession, database: Any
) -> None:
    labels = pq.read_table(tmp_path / "snapshots" / spec.snapshot_id / LABELS_FILE)
    places = dict(zip(labels["name"].to_pylist(), labels["sha256"].to_pylist(), strict=True))
    mistaken = [places[f"{CLASSES[1]}/{seed}.png"] for seed in range(2)]
    vectors = {TRAINED_ON: [1.0, 0.0], mistaken[0]: [1.0, 0.0], mistaken[1]: [0.0, 1.0]}
    features = write_features(tmp_path / "features", vectors)
    facts_uri = (tmp_path / "facts").as_uri()
    fields = {"sha256": mistaken, "sharpness": [0.5, 0.5], "darkest": [0.0, 0.0]}
    table = pa.table(fields | {"brightest": [9.0, 90.0]}).cast(
        pa.schema([("sha256", pa.string()), *((name, pa.float32()) for name in MEASURES)])
    )
    cache = Path(FactsCache(spark, facts_uri).uri.removeprefix("file://"))
    cache.mkdir(parents=True)
    pq.write_table(table, cache / "0.parquet")
    outcome = run_evaluate(spec.model_copy(update={"features": features, "facts_uri": facts_uri}))
    check_outcome(outcome)
    evaluation = store.read_model(outcome.metrics_uri, Evaluation)
    # Every val picture is classified rightly and reaches its class's threshold.
    assert all(row.threshold and row.threshold > 0.5 for row in evaluation.per_class)
    assert evaluation.declining is not None
    assert 0.5 < evaluation.declining.threshold < 1
    # One train sample has a vector: nothing could be left out.
    assert evaluation.declining.unknown is None
    point = store.read_model(outcome.operating_point_uri, OperatingPoint)
    assert point.decline_below == evaluation.declining.threshold
    assert point.class_thresholds == {row.label: row.threshold for row in evaluation.per_class}
    model = store.read_bytes(store.join(spec.bundle_uri, MODEL_FILE))
    assert point.model_sha256 == hash_model(model)
    cases = {one.sha256: one for one in store.read_model(outcome.bad_cases_uri, BadCases).cases}
    assert set(cases) == set(mistaken)
    near = cases[mistaken[0]].neighbours
    assert [(one.sha256, one.name, one.label) for one in near] == [
        (TRAINED_ON, "train.png", CLASSES[0])
    ]
    first, second = (" ".join(cases[sha256].reasons) for sha256 in mistaken)
    for told in ("all but the same as 'train.png'", "label may be wrong", "very dark"):
        assert told in first
    assert "all but the same" not in second
    suspects = store.read_model(outcome.suspects_uri, Suspects)
    assert suspects.sides == ("val", "test")
    # Of the second one the model is a little less sure than of red pictures on average.
    assert [(one.sha256, one.suspected) for one in suspects.suspects] == [(mistaken[0], CLASSES[0])]
    queue = list_reviews(database, spec.dataset, limit=10)
    assert {one.sha256: one.source for one in queue.items} == {
        mistaken[0]: "label_suspect",
        mistaken[1]: "bad_case",
    }
    for one in queue.items:
        assert (one.label, one.predicted) == (CLASSES[1], CLASSES[0])
        assert one.reasons == cases[one.sha256].reasons


def test_nothing_is_chosen_on_what_the_model_has_learned_from(spec: EvaluateSpec) -> None:
    outcome = run_evaluate(spec.model_copy(update={"val_learned": True}))
    evaluation = store.read_model(outcome.metrics_uri, Evaluation)
    assert evaluation.declining is None
    assert outcome.operating_point_uri == ""
    assert {row.threshold for row in evaluation.per_class} == {None}
    cases = store.read_model(outcome.bad_cases_uri, BadCases).cases
    assert cases
    assert "none of the classes" not in " ".join(told for one in cases for told in one.reasons)
    assert store.read_model(outcome.suspects_uri, Suspects).sides == ("test",)


def test_train_and_val_labels_are_doubted_out_of_fold(
    spec: EvaluateSpec, tmp_path: Path, database: Any
) -> None:
    """The scores of the bundle itself, which has learned from val here, do not count there."""
    labels = pq.read_table(tmp_path / "snapshots" / spec.snapshot_id / LABELS_FILE).to_pylist()
    learned = [one for one in labels if one["side"] != "test"]
    doubted = next(one for one in learned if one["side"] == "val" and one["label"] == CLASSES[0])
    scores = []
    for one in learned:
        sure = 0.98 if one is doubted else 0.9
        shown = 2 if one is doubted else CLASSES.index(one["label"])
        rest = (1 - sure) / 2
        scores.append([sure if place == shown else rest for place in range(len(CLASSES))])
    table = pa.table(
        {
            "sha256": [one["sha256"] for one in learned],
            "scores": pa.array(scores, pa.list_(pa.float32())),
        }
    )
    file = tmp_path / "out_of_fold.parquet"
    pq.write_table(table, file)
    change = {"val_learned": True, "out_of_fold_uri": file.as_uri()}
    outcome = run_evaluate(spec.model_copy(update=change))
    suspects = store.read_model(outcome.suspects_uri, Suspects)
    assert suspects.sides == ("train", "val", "test")
    (found,) = (one for one in suspects.suspects if one.side != "test")
    assert (found.sha256, found.suspected) == (doubted["sha256"], CLASSES[2])
    queue = {one.sha256: one for one in list_reviews(database, spec.dataset, limit=10).items}
    assert queue[doubted["sha256"]].source == "label_suspect"
    # Thresholds are chosen there, too: every best score is 0.9, but for the doubted one's.
    evaluation = store.read_model(outcome.metrics_uri, Evaluation)
    assert evaluation.chosen_on == "folds"
    assert [row.threshold for row in evaluation.per_class] == pytest.approx([0.9, 0.9, 0.9])
    # So few samples do not tell what nearly all pictures reach.
    assert evaluation.declining is None
    point = store.read_model(outcome.operating_point_uri, OperatingPoint)
    assert point.decline_below == 0
    assert point.class_thresholds == pytest.approx(dict.fromkeys(CLASSES, 0.9))


@pytest.mark.parametrize(
    ("val_learned", "scored", "deepened", "one", "several"),
    [
        (False, True, False, "val", "folds"),
        (False, False, False, "val", "val"),
        (False, True, True, "val", "val"),
        (True, True, False, "folds", "folds"),
        (True, True, True, "nothing", "heads"),
        (True, False, False, "nothing", "nothing"),
    ],
)
def test_what_thresholds_are_chosen_on(
    spec: EvaluateSpec, *, val_learned: bool, scored: bool, deepened: bool, one: str, several: str
) -> None:
    uri = "hdfs://h:1/scores" if scored else ""
    change = {"val_learned": val_learned, "out_of_fold_uri": uri, "deepened": deepened}
    asked = spec.model_copy(update=change)
    assert (find_chosen_on(asked), find_chosen_on(asked, SEVERAL)) == (one, several)
