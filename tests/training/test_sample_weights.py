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
from tests.training.test_loop import ALONE, fit_alone, fit_on_ranks
from training.loop import Trainer, fit, hash_weights
from training.spec import TrainSpec
from training.tasks.classification import model
from training.tasks.classification.data import read_sides
from training.tasks.classification.model import LABEL_SMOOTHING
from training.tasks.protocol import Examples, Sides, TrainExamples, load_task

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


def make_sides(
    counts: tuple[int, int],
    weights: tuple[float, float] = (1, 1),
    repeats: tuple[int, int] = (1, 1),
) -> Sides:
    """Two clouds that overlap; val is ten times train."""

    def draw(seed: int, numbers: tuple[int, int]) -> Examples:
        targets = np.repeat([0, 1], numbers)
        noise = np.random.default_rng(seed).normal(size=(len(targets), 4))
        return Examples((noise + targets[:, None]).astype(np.float32), targets)

    train = draw(0, counts)
    return Sides(
        train=TrainExamples(
            **vars(train),
            weights=np.repeat(weights, counts).astype(np.float32),
            repeats=np.repeat(repeats, counts),
        ),
        val=draw(1, (10 * counts[0], 10 * counts[1])),
    )


def test_without_the_columns_each_counts_as_one(make_spec: MakeSpec) -> None:
    train = read_sides(make_spec()).train
    assert train.weights.dtype == np.float32
    assert train.weights.tolist() == train.repeats.tolist() == [1] * 60


def test_columns_are_read_in_the_samples_order(make_spec: MakeSpec, tmp_path: Path) -> None:
    columns: Columns = {
        "sample_weight": lambda row: (
            1 + CLASSES.index(row["label"]) if row["side"] == "train" else None
        ),
        "sample_repeats": lambda row: 3 - CLASSES.index(row["label"]),
    }
    train = read_sides(add_columns(make_spec(), tmp_path, columns)).train
    assert train.weights.tolist() == (1 + train.targets).tolist()
    assert train.repeats.tolist() == (3 - train.targets).tolist()


def expect_gradient(sides: Sides) -> npt.NDArray[np.float64]:
    """Of mean(weight * cross-entropy against smoothed labels), where the head begins: at zero."""
    train = sides.train
    inputs = train.inputs.astype(np.float64)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0).mean()
    wanted = (1 - LABEL_SMOOTHING) * np.eye(2)[train.targets] + LABEL_SMOOTHING / 2
    gradients = scaled[:, :, None] * (0.5 - wanted)[:, None, :]
    mean: npt.NDArray[np.float64] = (train.weights[:, None, None] * gradients).mean(axis=0)
    return mean


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.55, 5.5), (0.0, 2.0)])
def test_the_gradient_is_that_of_the_weighted_mean(
    make_spec: MakeSpec, weights: tuple[float, float]
) -> None:
    sides = make_sides((50, 5), weights)
    spec = make_spec(classes=PAIR, batch_size=55)
    trainer = Trainer(spec, ALONE, sides, load_task("classification")[1])
    seen: list[npt.NDArray[np.float32]] = []
    trainer.head.linear.weight.register_hook(lambda gradient: seen.append(gradient.numpy()))
    epoch = trainer.run_epoch()
    np.testing.assert_allclose(seen[0], expect_gradient(sides), atol=1e-6)
    # At zero, every sample's loss is log 2.
    assert epoch.train_loss == pytest.approx(np.log(2) * sides.train.weights.mean(), rel=1e-5)


def test_an_epoch_meets_each_sample_so_often(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = make_sides((7, 2), repeats=(1, 4))
    met: list[float] = []
    losses = model.train_losses

    def listen(outputs: Any, targets: Any) -> Any:
        met.extend(targets.numpy().tolist())
        return losses(outputs, targets)

    monkeypatch.setattr(model, "train_losses", listen)
    trainer = Trainer(
        make_spec(classes=PAIR, batch_size=4), ALONE, sides, load_task("classification")[1]
    )
    for _ in range(2):
        met.clear()
        trainer.run_epoch()
        in_training = met[: 7 + 2 * 4]
        assert (in_training.count(0), in_training.count(1)) == (7, 8)
        assert len(met) == 15 + 90


def test_seen_twice_is_as_counted_twice(make_spec: MakeSpec) -> None:
    """In one batch the gradients differ by a factor only, which AdamW does not see."""
    spec = make_spec(classes=PAIR, batch_size=1000, learning_rate=0.05)
    task = load_task("classification")[1]
    repeated = fit(spec, ALONE, make_sides((40, 8), repeats=(1, 2)), task)
    weighted = fit(spec, ALONE, make_sides((40, 8), weights=(1, 2)), task)
    plain = fit(spec, ALONE, make_sides((40, 8)), task)
    assert repeated.best.val_loss == pytest.approx(weighted.best.val_loss, abs=1e-4)
    assert abs(repeated.best.val_loss - plain.best.val_loss) > 1e-3


def recall(spec: TrainSpec, sides: Sides) -> float:
    """Of the rare class, on the val side."""
    trained = fit(spec, ALONE, sides, load_task("classification")[1])
    trainer = Trainer(spec, ALONE, sides, load_task("classification")[1])
    trainer.head.set_state_dict(trained.head.state_dict())
    rare = sides.val.targets == 1
    answers = trainer.head(trainer.val.inputs).argmax(axis=1).numpy()
    return float((answers[rare] == 1).mean())


def test_balancing_finds_more_of_the_rare_class(make_spec: MakeSpec) -> None:
    spec = make_spec(classes=PAIR, max_epochs=30, patience=30, learning_rate=0.01)
    plain = recall(spec, make_sides((200, 10)))
    weighted = recall(spec, make_sides((200, 10), weights=(210 / 400, 10.0)))
    repeated = recall(spec, make_sides((200, 10), repeats=(1, 20)))
    assert plain < 0.3
    assert weighted > 0.6
    assert repeated > 0.6


def test_two_ranks_follow_the_curve_of_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    columns: Columns = {
        "sample_weight": lambda row: 0.5 + CLASSES.index(row["label"]),
        "sample_repeats": lambda row: 1 + CLASSES.index(row["label"]),
    }
    spec = add_columns(make_spec(batch_size=7, max_epochs=3), tmp_path, columns)
    alone = fit_alone(spec)
    first, second = fit_on_ranks(spec, 2, tmp_path / "two")
    assert first.progress == second.progress
    for one, two in zip(alone.progress.epochs, first.progress.epochs, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, abs=1e-5)
        assert two.val_loss == pytest.approx(one.val_loss, abs=1e-5)
    assert hash_weights(fit_alone(spec).head) == hash_weights(alone.head)
    assert hash_weights(fit_alone(make_spec(batch_size=7, max_epochs=3)).head) != hash_weights(
        alone.head
    )
