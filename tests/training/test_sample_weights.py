"""What a train sample counts: in the gradient, in an epoch, on any number of ranks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.conftest import CLASSES
from tests.training.fitting import ALONE, fit_of
from training.fit import Rows
from training.loop import train_head
from training.search.folds import make_folds
from training.sources import Features
from training.spec import TrainSpec
from training.tasks.classification import model
from training.tasks.classification.data import read_samples
from training.tasks.protocol import load_task
from training.trainer import Trainer
from training.vectors import find_scaling

MakeSpec = Callable[..., TrainSpec]
Columns = dict[str, Callable[[dict[str, Any]], float | None]]
PAIR = ("common", "rare")


def add_columns(spec: TrainSpec, folder: Path, columns: Columns) -> TrainSpec:
    """The snapshot's labels as a run's own, with more columns."""
    table = pq.read_table(spec.labels_uri.removeprefix("file://"))
    rows = table.to_pylist()
    for name, value in columns.items():
        table = table.append_column(name, pa.array([value(row) for row in rows]))
    pq.write_table(table, folder / "labels.parquet")
    return spec.model_copy(update={"labels_uri": (folder / "labels.parquet").as_uri()})


def make_rows(
    counts: tuple[int, int],
    weights: tuple[float, float] = (1, 1),
    repeats: tuple[int, int] = (1, 1),
) -> Rows:
    """Two clouds that overlap; what is judged by is ten times what is learned from."""

    def draw(seed: int, numbers: tuple[int, int]) -> tuple[Any, Any]:
        targets = np.repeat([0, 1], numbers)
        noise = np.random.default_rng(seed).normal(size=(len(targets), 4))
        return (noise + targets[:, None]).astype(np.float32), targets

    inputs, targets = draw(0, counts)
    others, wanted = draw(1, (10 * counts[0], 10 * counts[1]))
    learned = np.arange(len(targets))
    features = np.concatenate([inputs, others])
    return Rows(
        inputs=Features(features),
        targets=np.concatenate([targets, wanted]),
        weights=np.concatenate([np.repeat(weights, counts), np.ones(len(wanted))]).astype(
            np.float32
        ),
        learned=np.repeat(learned, np.repeat(repeats, counts)),
        judged=np.arange(len(targets), len(features)),
        scaling=find_scaling(features, learned),
    )


def make_trainer(spec: TrainSpec, rows: Rows, **changes: Any) -> Trainer:
    return Trainer(fit_of(spec, **changes), ALONE, rows, load_task("classification")[1])


def test_without_the_columns_each_counts_as_one(make_spec: MakeSpec) -> None:
    samples = read_samples(make_spec())
    assert samples.weights.dtype == np.float32
    assert samples.weights.tolist() == samples.repeats.tolist() == [1] * 84


def test_columns_are_read_in_the_samples_order(make_spec: MakeSpec, tmp_path: Path) -> None:
    columns: Columns = {
        "sample_weight": lambda row: (
            1 + CLASSES.index(row["label"]) if row["side"] == "train" else None
        ),
        "sample_repeats": lambda row: 3 - CLASSES.index(row["label"]),
    }
    samples = read_samples(add_columns(make_spec(), tmp_path, columns))
    train = ~samples.val
    assert samples.weights[train].tolist() == (1 + samples.targets[train]).tolist()
    assert samples.repeats[train].tolist() == (3 - samples.targets[train]).tolist()
    assert set(samples.weights[samples.val]) == set(samples.repeats[samples.val]) == {1}
    # Dealt out together, a val sample counts as its class does.
    folds = make_folds(samples, 0)
    assert folds.joined
    assert folds.weights.tolist() == (1 + samples.targets).tolist()
    assert folds.repeats.tolist() == (3 - samples.targets).tolist()


def expect_gradient(rows: Rows, smoothing: float) -> npt.NDArray[np.float64]:
    """Of mean(weight * cross-entropy against smoothed labels), where the head begins: at zero."""
    inputs = rows.inputs.pick(rows.learned).numpy().astype(np.float64)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0).mean()
    wanted = (1 - smoothing) * np.eye(2)[rows.targets[rows.learned]] + smoothing / 2
    gradients = scaled[:, :, None] * (0.5 - wanted)[:, None, :]
    weights = rows.weights[rows.learned]
    mean: npt.NDArray[np.float64] = (weights[:, None, None] * gradients).mean(axis=0)
    return mean


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.55, 5.5), (0.0, 2.0)])
def test_the_gradient_is_that_of_the_weighted_mean(
    make_spec: MakeSpec, weights: tuple[float, float]
) -> None:
    rows = make_rows((28, 4), weights)
    trainer = make_trainer(make_spec(classes=PAIR), rows, smoothing=0.1)
    seen: list[npt.NDArray[np.float32]] = []
    trainer.head.weight.register_hook(lambda gradient: seen.append(gradient.numpy()))
    epoch = trainer.run_epoch()
    np.testing.assert_allclose(seen[0], expect_gradient(rows, 0.1), atol=1e-6)
    # At zero, every sample's loss is log 2.
    mean = rows.weights[rows.learned].mean()
    assert epoch.train_loss == pytest.approx(np.log(2) * mean, rel=1e-5)


def test_an_epoch_meets_each_sample_so_often(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[float] = []
    losses = model.find_losses

    def listen(outputs: Any, targets: Any, recipe: Any) -> Any:
        met.extend(targets.numpy().tolist())
        return losses(outputs, targets, recipe)

    monkeypatch.setattr(model, "find_losses", listen)
    trainer = make_trainer(make_spec(classes=PAIR), make_rows((7, 2), repeats=(1, 4)))
    for _ in range(2):
        met.clear()
        trainer.run_epoch()
        assert (met.count(0), met.count(1)) == (7, 8)


def measure_recall(spec: TrainSpec, rows: Rows) -> float:
    """Of the rare class, among what is judged by."""
    trained = train_head(
        fit_of(spec, learning_rate=0.01),
        ALONE,
        rows,
        load_task("classification")[1],
        spec.scratch_uri,
    )
    rare = rows.judged[rows.targets[rows.judged] == 1]
    answers = trained.head(rows.inputs.pick(rare)).argmax(axis=1).numpy()
    return float((answers == 1).mean())


def test_balancing_finds_more_of_the_rare_class(make_spec: MakeSpec) -> None:
    spec = make_spec(classes=PAIR, max_epochs=30, patience=30)
    plain = measure_recall(spec, make_rows((200, 10)))
    weighted = measure_recall(spec, make_rows((200, 10), weights=(210 / 400, 10.0)))
    repeated = measure_recall(spec, make_rows((200, 10), repeats=(1, 20)))
    assert plain < 0.3
    assert weighted > 0.6
    assert repeated > 0.6
