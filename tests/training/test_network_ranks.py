"""The whole network on several ranks: the curve of one; after a kill, the weights of the whole."""

from pathlib import Path

import pytest

from serving.job.inputs import InputFeatures
from tests.training.conftest import MakeSpec
from tests.training.fit_on_ranks import DEEP_EPOCHS, KILL_VARIABLE, WHOLE
from tests.training.fitting import (
    ALONE,
    fit_alone,
    fit_deep_too,
    fit_of,
    fit_on_machines,
    fit_on_ranks,
    material_of,
    start_fit,
)
from tests.training.tiny_network import forget, make_tiny
from training import checkpoint
from training.checkpoint import Progress
from training.winner import select_rows


def read_progress(scratch: Path) -> Progress:
    """Of the network, in the checkpoint that a retry would go on from."""
    states = [checkpoint.from_bytes(path.read_bytes()) for path in scratch.glob("checkpoint-*.npz")]
    whole = [one for one in states if any(name.startswith("extractor.") for name in one.network)]
    return whole[0].progress if whole else Progress()


def test_two_ranks_are_as_one_and_killed_within_an_epoch_as_a_whole_one(
    make_spec: MakeSpec, snapshot: Path, tmp_path: Path
) -> None:
    # Without norms: in them, what is rounding grows from step to step.
    given = make_tiny(tmp_path / "tiny", snapshot, "squeezenet-1-1")
    spec = make_spec(inputs=(given,), deepest="network")
    head = fit_alone(spec, select_rows(material_of(spec), fit_of(spec).recipe))
    alone = fit_deep_too(spec, ALONE, head, DEEP_EPOCHS, **WHOLE)
    whole, beside = fit_on_ranks(spec, 2, tmp_path / "whole")
    for name, array in whole.network.items():
        assert beside.network[name].tobytes() == array.tobytes(), name
    assert whole.progress == beside.progress
    for one, two in zip(alone.progress.epochs, whole.progress.epochs, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, abs=1e-5)

    for state in fit_on_machines(spec, 2, tmp_path / "machines"):
        assert state.progress == whole.progress
        for name, array in whole.network.items():
            assert state.network[name].tobytes() == array.tobytes(), name
    # Each has decoded all pictures for itself.
    scratches = [tmp_path / "machines" / str(node) / "scratch_uri" for node in range(2)]
    assert [len([*one.glob("pictures-*.npy")]) for one in scratches] == [1, 1]

    # Of three steps.
    process, killed = start_fit(spec, 2, tmp_path / "killed", **{KILL_VARIABLE: "2"})
    process.communicate(timeout=300)
    assert process.returncode != 0
    left = read_progress(checkpoint.find_scratch(killed.scratch_uri))
    assert (len(left.epochs), left.step) == (1, 2)
    for state in fit_on_ranks(spec, 2, tmp_path / "killed"):
        assert state.progress == whole.progress
        assert state.network.keys() == whole.network.keys()
        for name, array in whole.network.items():
            assert state.network[name].tobytes() == array.tobytes(), name


def test_norms_that_learn_are_alike_on_all_ranks(
    make_spec: MakeSpec, tiny: InputFeatures, tmp_path: Path
) -> None:
    spec = make_spec(inputs=(forget(tiny),), deepest="network")
    first, second = fit_on_ranks(spec, 2, tmp_path / "work")
    for name, array in first.network.items():
        assert second.network[name].tobytes() == array.tobytes(), name
