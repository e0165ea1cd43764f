"""Last blocks on several ranks: the curve of one; after a kill, the weights of the whole."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.training.conftest import MakeSpec, find_rank, make_input
from tests.training.fit_on_ranks import DEEP_EPOCHS
from tests.training.fitting import (
    ALONE,
    fit_alone,
    fit_deep_too,
    fit_of,
    fit_on_ranks,
    material_of,
    start_fit,
)
from training import checkpoint
from training.spec import ExportBackboneOutcome, TrainSpec
from training.winner import select_rows


@pytest.fixture
def deep_spec(make_spec: MakeSpec, snapshot: Path, backbone: ExportBackboneOutcome) -> TrainSpec:
    given = make_input(snapshot / "features").model_copy(update={"backbone": backbone.file})
    return make_spec(inputs=(given,), deepest="last_blocks")


def count_epochs(scratch: Path) -> int:
    """Of last blocks, in the checkpoint that a retry would go on from."""
    states = [checkpoint.from_bytes(path.read_bytes()) for path in scratch.glob("checkpoint-*.npz")]
    deep = [one for one in states if any(name.startswith("tail.") for name in one.network)]
    return len(deep[0].progress.epochs) if deep else 0


def test_two_ranks_are_as_one_and_a_killed_training_as_a_whole_one(
    deep_spec: TrainSpec, tmp_path: Path
) -> None:
    rows = select_rows(material_of(deep_spec), fit_of(deep_spec).recipe)
    head = fit_alone(deep_spec, rows)
    alone = fit_deep_too(deep_spec, ALONE, head, DEEP_EPOCHS)
    whole, beside = fit_on_ranks(deep_spec, 2, tmp_path / "whole")
    assert whole.progress == beside.progress
    for one, two in zip(alone.progress.epochs, whole.progress.epochs, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, abs=1e-5)
    assert alone.progress.epochs[-1].train_loss < alone.progress.epochs[0].train_loss

    process, killed = start_fit(deep_spec, 2, tmp_path / "killed")
    scratch = checkpoint.find_scratch(killed.scratch_uri)
    deadline = time.monotonic() + 300
    while not count_epochs(scratch) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(find_rank(process.pid, 0), signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert 0 < count_epochs(scratch) < DEEP_EPOCHS
    for state in fit_on_ranks(deep_spec, 2, tmp_path / "killed"):
        assert state.progress == whole.progress
        assert state.network.keys() == whole.network.keys()
        for name, array in whole.network.items():
            assert state.network[name].tobytes() == array.tobytes(), name
