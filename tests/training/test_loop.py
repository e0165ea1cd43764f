import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.job.errors import UserError
from serving.job.search import HeadKind
from tests.training.fitting import (
    ALONE,
    fit_alone,
    fit_of,
    fit_on_ranks,
    material_of,
    rows_of,
)
from training import checkpoint, loop
from training.batches import choose_batch_size, make_batches
from training.checkpoint import Progress
from training.fit import checkpoint_key
from training.head_weights import hash_weights
from training.loop import train_head
from training.ranks import Ranks, join_ranks
from training.sources import Features
from training.spec import TrainSpec
from training.tasks.protocol import load_task
from training.trainer import Trainer
from training.winner import select_rows

MakeSpec = Callable[..., TrainSpec]


class KilledError(Exception):
    """As if the process had ended here."""


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


@pytest.mark.parametrize(("samples", "size"), [(5, 32), (400, 32), (1500, 128), (10**6, 1024)])
def test_an_epoch_has_about_a_dozen_steps(samples: int, size: int) -> None:
    assert choose_batch_size(samples) == size


def test_two_ranks_follow_the_curve_of_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    # 84 samples in batches of 32: uneven shares, and a short last batch.
    spec = make_spec(max_epochs=5)
    rows = select_rows(material_of(spec), fit_of(spec).recipe)
    alone = fit_alone(spec, rows)
    first, second = fit_on_ranks(spec, 2, tmp_path / "two")
    assert first.progress == second.progress
    assert first.network["weight"].tobytes() == second.network["weight"].tobytes()
    assert len(first.progress.epochs) == 5
    for one, two in zip(alone.progress.epochs, first.progress.epochs, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, abs=1e-5)
    assert alone.progress.epochs[-1].train_loss < alone.progress.epochs[0].train_loss
    (again, _) = fit_on_ranks(spec, 2, tmp_path / "again")
    assert again.network["weight"].tobytes() == first.network["weight"].tobytes()


def test_seed_decides_the_weights(make_spec: MakeSpec, tmp_path: Path) -> None:
    hashes = []
    for number, seed in enumerate((1, 1, 2)):
        spec = make_spec(seed=seed, scratch_uri=(tmp_path / str(number)).as_uri())
        hashes.append(hash_weights(fit_alone(spec).head))
    assert hashes[0] == hashes[1] != hashes[2]


def test_best_weights_come_back_and_training_stops(make_spec: MakeSpec) -> None:
    # So large a step that no later epoch is better than an early one.
    spec = make_spec(patience=3, max_epochs=100)
    trained = fit_alone(spec, learning_rate=0.3)
    assert len(trained.progress.epochs) == trained.progress.best_epoch + 3
    shorter = make_spec(patience=3, max_epochs=trained.progress.best_epoch)
    assert hash_weights(fit_alone(shorter, learning_rate=0.3).head) == hash_weights(trained.head)


@pytest.mark.parametrize("head", ["linear", "cosine", "mlp"])
def test_a_training_goes_on_from_its_checkpoint(make_spec: MakeSpec, head: HeadKind) -> None:
    spec = make_spec(max_epochs=6, patience=6)
    fit = fit_of(spec, head=head, hidden=8, dropout=0.5)
    rows, task = rows_of(spec), load_task(spec.task)[1]
    whole = Trainer(fit, ALONE, rows, task)
    for _ in range(6):
        whole.run_epoch()
    first = Trainer(fit, ALONE, rows, task)
    for _ in range(3):
        first.run_epoch()
    second = Trainer(fit, ALONE, rows, task)
    second.restore(checkpoint.from_bytes(checkpoint.to_bytes(first.save())))
    for _ in range(3):
        second.run_epoch()
    assert second.progress() == whole.progress()
    assert hash_weights(second.head) == hash_weights(whole.head)


@pytest.mark.parametrize("step", [1, 2])
def test_a_training_goes_on_within_an_epoch(make_spec: MakeSpec, step: int) -> None:
    spec = make_spec(max_epochs=3, patience=6)
    fit = fit_of(spec, head="mlp", hidden=8, dropout=0.5)
    rows, task = rows_of(spec), load_task(spec.task)[1]
    whole, killed = (Trainer(fit, ALONE, rows, task) for _ in range(2))
    left = []

    def kill() -> None:
        if killed.step == step and len(killed.epochs) == 1:
            left.append(checkpoint.to_bytes(killed.save()))
            raise KilledError

    for _ in range(3):
        whole.run_epoch()
    with pytest.raises(KilledError):
        for _ in range(3):
            killed.run_epoch(kill)
    resumed = Trainer(fit, ALONE, rows, task)
    resumed.restore(checkpoint.from_bytes(left[0]))
    assert resumed.step == step
    while not resumed.ended:
        resumed.run_epoch()
    assert resumed.progress() == whole.progress()
    assert hash_weights(resumed.head) == hash_weights(whole.head)


@pytest.mark.parametrize(("killed", "asked"), [(1, [0, 1, 2]), (3, [0, 0, 1])])
def test_a_part_of_an_epoch_is_none_of_a_retrys(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, killed: int, asked: list[int]
) -> None:
    # Two steps an epoch.
    monkeypatch.setattr(loop, "STEP_INTERVAL_S", 0.0)
    monkeypatch.setattr(loop, "CHECKPOINT_INTERVAL_S", math.inf)
    spec = make_spec(max_epochs=3)
    fit, rows, task = fit_of(spec), rows_of(spec), load_task(spec.task)[1]
    saved, told = itertools.count(1), []

    def kill() -> None:
        if next(saved) == killed:
            raise KilledError

    def listen(_: Progress, trained: int) -> bool:
        told.append(trained)
        return False

    with pytest.raises(KilledError):
        train_head(fit, ALONE, rows, task, spec.scratch_uri, on_saved=kill)
    train_head(fit, ALONE, rows, task, spec.scratch_uri, is_over=listen)
    assert told == asked


def test_a_diverged_loss_is_a_sentence(make_spec: MakeSpec) -> None:
    rows = rows_of(make_spec())
    nothing = np.full_like(rows.inputs.pick(np.arange(len(rows.targets))).numpy(), np.nan)
    broken = replace(rows, inputs=Features(nothing))
    with pytest.raises(UserError, match=r"no number any more in epoch 1, .*another seed"):
        fit_alone(make_spec(), broken)


def test_checkpoint_key_is_all_that_decides_the_weights(make_spec: MakeSpec) -> None:
    fit, rows = fit_of(make_spec()), rows_of(make_spec())
    key = checkpoint_key(fit, ALONE, rows)
    assert key == checkpoint_key(fit_of(make_spec()), ALONE, rows_of(make_spec()))
    assert key != checkpoint_key(replace(fit, seed=4), ALONE, rows)
    assert key != checkpoint_key(fit, Ranks(0, 2, "cpu"), rows)
    assert key != checkpoint_key(fit, ALONE, replace(rows, weights=rows.weights * 2))


def test_gpu_where_there_is_none() -> None:
    with pytest.raises(UserError, match=r"devices=gpu, but .*Choose auto or cpu"):
        join_ranks("gpu")
    assert join_ranks("auto") == ALONE
