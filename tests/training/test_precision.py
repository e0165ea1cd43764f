"""Steps with a scaled loss, which only cards make: here Paddle is told that a CPU is one."""

from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.amp import grad_scaler

from serving.job.search import Recipe
from tests.training.conftest import MakeSpec
from tests.training.fitting import fit_of, rows_of
from training import checkpoint
from training.head_weights import hash_weights
from training.optimizer import make_optimizer
from training.precision import Stepper
from training.ranks import Ranks
from training.sources import Features
from training.tasks.protocol import load_task
from training.trainer import Trainer

# It still computes in single precision.
pytestmark = pytest.mark.filterwarnings("ignore:.*amp:UserWarning")
FIRST_SCALE = 2.0**16


@pytest.fixture
def card() -> Iterator[None]:
    tracer = mock.Mock()
    tracer._expected_place.is_gpu_place.return_value = True
    with mock.patch.object(grad_scaler, "_dygraph_tracer", return_value=tracer):
        yield


class Walk:
    """A network of two weights, one step after the other."""

    def __init__(self, *, halves: bool) -> None:
        self.network = nn.Linear(2, 1)
        self.network.weight.set_value(paddle.ones([2, 1]))
        optimizer = make_optimizer(self.network, Recipe(input="", learning_rate=0.1))
        self.stepper = Stepper(optimizer, halves=halves)

    def step(self, *values: float) -> list[float]:
        """Weights after it."""
        with self.stepper.context():
            loss = self.network(paddle.to_tensor([values])).sum()
        self.stepper.step(loss)
        grad = self.network.weight.grad
        assert grad is None or not grad.numpy().any()
        found: list[float] = self.network.weight.numpy().ravel().tolist()
        return found


def test_a_scaled_loss_makes_the_same_step(card: None) -> None:
    halves, whole = Walk(halves=True), Walk(halves=False)
    # As small as the optimizer's epsilon: of larger gradients, it takes no notice of a factor.
    assert halves.step(1e-8, 2e-8) == whole.step(1e-8, 2e-8) != [1.0, 1.0]
    assert halves.stepper.copy_state() == {"scale": [FIRST_SCALE], "incr_count": 1}
    assert whole.stepper.copy_state() == {}


def test_a_loss_that_overflows_makes_no_step_and_halves_the_scale(card: None) -> None:
    halves, whole = Walk(halves=True), Walk(halves=False)
    large = float(np.finfo(np.float32).max) / 2
    assert halves.step(1.0, large) == [1.0, 1.0] != whole.step(1.0, large)
    assert halves.stepper.copy_state()["scale"] == [FIRST_SCALE / 2]
    # Others are made again, until the next one that does.
    assert halves.step(1.0, 2.0) != [1.0, 1.0]
    before = halves.network.weight.numpy().ravel().tolist()
    assert halves.step(1.0, large) == before
    assert halves.stepper.copy_state()["scale"] == [FIRST_SCALE / 4]


class Costly(Features):
    """Features as if each took long: those are computed in half precision."""

    costly = True


def test_a_training_goes_on_with_its_scale(card: None, make_spec: MakeSpec) -> None:
    spec = make_spec(max_epochs=4, patience=6)
    task, rows = load_task(spec.task)[1], rows_of(spec)
    rows = replace(rows, inputs=Costly(rows.inputs.pick(np.arange(len(rows.targets))).numpy()))

    def make() -> Trainer:
        return Trainer(fit_of(spec), Ranks(0, 1, "gpu"), rows, task)

    first, second = make(), make()
    for _ in range(2):
        first.run_epoch()
    state = checkpoint.from_bytes(checkpoint.to_bytes(first.save()))
    assert state.scaler["incr_count"] > 1
    second.restore(state)
    for trainer in (first, second):
        trainer.run_epoch()
    assert second.save().scaler == first.save().scaler
    assert hash_weights(second.head) == hash_weights(first.head)
