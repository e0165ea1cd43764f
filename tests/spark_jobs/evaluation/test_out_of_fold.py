"""Label errors among real digits that were learned from: found out of fold, believed in sample."""

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from sklearn.datasets import load_digits

from serving.job import store
from spark_jobs.session import make_frame
from spark_jobs.suspects import find_suspects, read_out_of_fold
from tests.training.tables import write_table
from training import out_of_fold
from training.out_of_fold import find_head, score_out_of_fold, thin_out, write_out_of_fold
from training.ranks import Ranks
from training.search.fold_fit import FoldFit
from training.search.search import Material, gather_material
from training.spec import TrainSpec
from training.tasks.protocol import load_task
from training.winner import Winner, find_winner

SAMPLES, PLANTED = 400, 20
CLASSES = tuple(map(str, range(10)))


@pytest.fixture(scope="module")
def planted() -> list[int]:
    chosen = np.random.default_rng(5).choice(SAMPLES, PLANTED, replace=False)
    return sorted(chosen.tolist())


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, planted: list[int]) -> TrainSpec:
    folder = tmp_path_factory.mktemp("digits")
    pixels, truth = load_digits(return_X_y=True)
    labels = truth[:SAMPLES].astype(np.int64)
    labels[planted] = (labels[planted] + 3) % 10
    fields = write_table(folder, pixels[:SAMPLES].astype(np.float32), labels, val=0.2)
    return TrainSpec(
        output_uri=(folder / "out").as_uri(),
        run_id="r",
        dataset="digits",
        snapshot_id="s",
        scratch_uri=(folder / "scratch").as_uri(),
        classes=CLASSES,
        code_version="test",
        seed=3,
        max_trials=3,
        max_epochs=40,
        **fields,
    )


@pytest.fixture(scope="module")
def material(spec: TrainSpec) -> Material:
    return gather_material(spec, load_task(spec.task)[0])


@pytest.fixture(scope="module")
def winner(spec: TrainSpec, material: Material) -> Winner:
    return find_winner(spec, Ranks(0, 1, "cpu"), material, load_task(spec.task)[1])


def list_hashes(spec: TrainSpec, planted: list[int]) -> set[str]:
    labels = pq.read_table(io.BytesIO(store.read_bytes(spec.labels_uri)))
    return {labels["sha256"][row].as_py() for row in planted}


def find_in_sample(
    spark: SparkSession, spec: TrainSpec, material: Material, scores: npt.NDArray[np.float32]
) -> list[str]:
    samples = material.samples
    columns = {
        "sha256": list(samples.sha256),
        "name": [""] * len(samples),
        "side": ["train"] * len(samples),
        "label": [CLASSES[place] for place in samples.strata],
        "scores": pa.array(list(scores), pa.list_(pa.float32())),
    }
    found = find_suspects(make_frame(spark, pa.table(columns)), CLASSES, PLANTED)
    return [one.sha256 for one in found]


def test_planted_errors_come_first_and_are_believed_in_sample(
    spark: SparkSession,
    spec: TrainSpec,
    material: Material,
    winner: Winner,
    planted: list[int],
) -> None:
    task = load_task(spec.task)[1]
    uri = write_out_of_fold(spec, winner, material, task).uri
    rows = read_out_of_fold(spark, uri, spec.labels_uri)
    assert {row["side"] for row in rows.select("side").distinct().collect()} == {"train", "val"}
    wrong = list_hashes(spec, planted)
    found = find_suspects(rows, CLASSES, PLANTED)
    hits = sum(one.sha256 in wrong for one in found)
    assert hits > 0.6 * PLANTED
    # The surest ones are all planted, and what they really show is named.
    assert all(one.sha256 in wrong for one in found[:10])
    assert {(int(one.suspected) + 3) % 10 == int(one.label) for one in found[:10]} == {True}
    import paddle

    matrix = material.vectors[winner.found.search.chosen.recipe.input]
    outputs = winner.trained.head(paddle.to_tensor(matrix)).numpy()
    scores = task.to_scores(outputs, winner.measured.temperature)
    in_sample = find_in_sample(spark, spec, material, scores)
    assert sum(sha256 in wrong for sha256 in in_sample) <= hits - 3


def test_same_seed_same_scores_each_sample_once(
    spec: TrainSpec, material: Material, winner: Winner
) -> None:
    task = load_task(spec.task)[1]
    held, scores = score_out_of_fold(spec, find_head(winner), material, task)
    again = score_out_of_fold(spec, find_head(winner), material, task)[1]
    np.testing.assert_array_equal(scores, again)
    assert sorted(held.tolist()) == list(range(SAMPLES))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_a_class_of_one_group_is_not_doubted(
    spec: TrainSpec, material: Material, winner: Winner
) -> None:
    samples = material.samples
    groups = np.where(samples.targets == 4, SAMPLES, samples.groups)
    alike = replace(material, samples=replace(samples, groups=groups))
    task = load_task(spec.task)[1]
    held, _ = score_out_of_fold(spec, find_head(winner), alike, task)
    assert set(samples.targets[held]) == set(range(10)) - {4}


def test_heads_learn_from_a_bounded_part(
    spec: TrainSpec, material: Material, winner: Winner, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[int] = []
    epochs = find_head(winner).best_epoch
    monkeypatch.setattr(out_of_fold, "MOST_SEEN", 100 * 5 * epochs)
    monkeypatch.setattr(out_of_fold, "LEAST_OF_CLASS", 2)
    run_epoch = FoldFit.run_epoch

    def watch(fit: FoldFit) -> None:
        learned.extend(len(fold.train) for fold in fit._data.folds.folds)
        run_epoch(fit)

    monkeypatch.setattr(FoldFit, "run_epoch", watch)
    task = load_task(spec.task)[1]
    held, scores = score_out_of_fold(spec, find_head(winner), material, task)
    assert len(learned) == 5 * epochs
    assert max(learned) <= 100
    assert len(held) == SAMPLES
    right = scores.argmax(axis=1) == material.samples.targets[held]
    assert right.mean() > 0.7


def test_rare_classes_are_kept() -> None:
    targets = np.array([0] * 9_000 + [1] * 990 + [2] * 10)
    kept = thin_out(np.arange(10_000), targets, 1_000, np.random.default_rng(0))
    assert np.bincount(targets[kept]).tolist() == [900, 99, 10]
    assert len(set(kept.tolist())) == len(kept)
    few = np.arange(5)
    assert thin_out(few, targets, 5, np.random.default_rng(0)) is few


def test_where_blocks_were_trained_the_head_stands_for_them(winner: Winner) -> None:
    search = winner.found.search
    chosen = search.chosen
    deep = chosen.model_copy(
        update={
            "number": 99,
            "loss": 0.0,
            "recipe": chosen.recipe.model_copy(update={"depth": "last_blocks"}),
        }
    )
    deeper = search.model_copy(update={"trials": (*search.trials, deep), "best": 99})
    resolved = winner.resolved.model_copy(update={"recipe": deep.recipe, "base": winner.resolved})
    found = winner.found.model_copy(update={"search": deeper})
    assert find_head(replace(winner, found=found, resolved=resolved)) == chosen
    assert find_head(winner) == chosen
