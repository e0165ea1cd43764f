from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serving.job.errors import UserError
from tests.training.conftest import start_ranks
from training import checkpoint
from training.checkpoint import Checkpoint
from training.loop import Trained, checkpoint_key, fit, hash_weights, make_batches
from training.ranks import Ranks, join_ranks
from training.spec import TrainSpec
from training.tasks.protocol import load_task

MakeSpec = Callable[..., TrainSpec]
ALONE = Ranks(rank=0, size=1, device="cpu")


def fit_alone(spec: TrainSpec) -> Trained:
    data, model = load_task(spec.task)
    return fit(spec, ALONE, data.read_sides(spec), model)


def fit_on_ranks(spec: TrainSpec, ranks: int, folder: Path) -> list[Checkpoint]:
    spec = spec.model_copy(update={"output_uri": (folder / "out").as_uri()})
    process = start_ranks(Path(__file__).with_name("fit_on_ranks.py"), spec, ranks, folder)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    files = sorted((folder / "out").glob("rank-*.npz"))
    return [checkpoint.from_bytes(file.read_bytes()) for file in files]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_cover_every_sample_with_one_weight(size: int) -> None:
    order = np.random.default_rng(0).permutation(11)
    seen: list[tuple[int, float]] = []
    lengths = set()
    for rank in range(size):
        for step, batch in enumerate(make_batches(11, 4, order, Ranks(rank, size, "cpu"))):
            lengths.add((step, len(batch.rows)))
            counted = batch.weights > 0
            seen += zip(batch.rows[counted].tolist(), batch.weights[counted].tolist(), strict=True)
    # All ranks take the same number of rows in a step.
    assert len(lengths) == 3
    assert sorted(row for row, _ in seen) == list(range(11))
    whole = {row: 4 if place < 8 else 3 for place, row in enumerate(order)}
    assert all(weight == pytest.approx(size / whole[row]) for row, weight in seen)


def test_two_ranks_follow_the_curve_of_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    # 60 samples in batches of 7: uneven shares, and a short last batch.
    spec = make_spec(batch_size=7, max_epochs=5)
    alone = fit_alone(spec)
    first, second = fit_on_ranks(spec, 2, tmp_path / "two")
    assert first.progress == second.progress
    assert first.network["linear.weight"].tobytes() == second.network["linear.weight"].tobytes()
    for one, two in zip(alone.progress.epochs, first.progress.epochs, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, abs=1e-5)
        assert two.val_loss == pytest.approx(one.val_loss, abs=1e-5)
    assert alone.progress.epochs[-1].train_loss < alone.progress.epochs[0].train_loss
    (again, _) = fit_on_ranks(spec, 2, tmp_path / "again")
    assert again.network["linear.weight"].tobytes() == first.network["linear.weight"].tobytes()


def test_seed_decides_the_weights(make_spec: MakeSpec) -> None:
    hashes = [hash_weights(fit_alone(make_spec(seed=seed)).head) for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_best_weights_come_back_and_training_stops(make_spec: MakeSpec) -> None:
    # So large a step that no later epoch is better than an early one.
    spec = make_spec(learning_rate=0.3, patience=3, max_epochs=100)
    trained = fit_alone(spec)
    assert len(trained.progress.epochs) == trained.progress.best_epoch + 3
    shorter = make_spec(learning_rate=0.3, patience=3, max_epochs=trained.progress.best_epoch)
    assert hash_weights(fit_alone(shorter).head) == hash_weights(trained.head)


def test_a_diverged_loss_names_the_learning_rate(make_spec: MakeSpec) -> None:
    data, model = load_task("classification")
    spec = make_spec(learning_rate=1.0)
    sides = data.read_sides(spec)
    sides.train.inputs[:] = np.float32(3e38)
    with pytest.raises(UserError, match="learning_rate is 1: choose a smaller one"):
        fit(spec, ALONE, sides, model)


def test_checkpoint_key_is_the_trainings_not_the_attempts(make_spec: MakeSpec) -> None:
    key = checkpoint_key(make_spec(), ALONE)
    assert key == checkpoint_key(make_spec(output_uri="file:///elsewhere"), ALONE)
    assert key != checkpoint_key(make_spec(seed=4), ALONE)
    assert key != checkpoint_key(make_spec(), Ranks(0, 2, "cpu"))


def test_gpu_where_there_is_none() -> None:
    with pytest.raises(UserError, match=r"devices=gpu, but .*Choose auto or cpu"):
        join_ranks("gpu")
    assert join_ranks("auto") == ALONE
