"""A run's final training once more: the same weights, bit for bit, or it says what differs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import REPO, make_input, start_ranks
from tests.training.fitting import ALONE, fit_of
from training.cpu import describe_cpu
from training.resolved import find_differences, resolve
from training.spec import ExportBackboneOutcome, ReplayOutcome, ReplaySpec, TrainOutcome, TrainSpec

MakeSpec = Callable[..., TrainSpec]
MAIN = REPO / "training" / "main.py"


def run(spec: TrainSpec | ReplaySpec, ranks: int, folder: Path, **environment: str) -> bytes:
    process = start_ranks(MAIN, spec, ranks, folder, **environment)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return (Path(spec.output_uri.removeprefix("file://")) / "outcome.json").read_bytes()


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_same_weights_bit_for_bit(
    make_spec: MakeSpec,
    snapshot: Path,
    backbone: ExportBackboneOutcome,
    tmp_path: Path,
    ranks: int,
) -> None:
    given = make_input(snapshot / "features").model_copy(update={"backbone": backbone.file})
    spec = make_spec(inputs=(given,), max_epochs=8)
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    left = run(spec, ranks, tmp_path / "work", MODELMILL_MLFLOW_URI=tracking)
    outcome = TrainOutcome.model_validate_json(left)
    assert outcome.resolved
    assert (outcome.resolved.ranks, outcome.resolved.threads) == (ranks, 1)

    def replay(name: str, **changes: Any) -> ReplayOutcome:
        assert outcome.resolved
        again = ReplaySpec(
            output_uri=(tmp_path / name).as_uri(),
            train=spec.model_copy(update={"scratch_uri": (tmp_path / f"scratch-{name}").as_uri()}),
            resolved=outcome.resolved.model_copy(update=changes),
            weights_sha256=outcome.weights_sha256,
            code_version="test",
        )
        return ReplayOutcome.model_validate_json(run(again, ranks, tmp_path / f"work-{name}"))

    same = replay("same", code_version="older")
    assert same.same
    assert same.weights_sha256 == outcome.weights_sha256
    assert same.differences == ("code_version older then, test now",)
    other = replay("other", seed=4)
    assert not other.same
    assert other.differences == ()


def test_differences_are_named(make_spec: MakeSpec) -> None:
    now = resolve(fit_of(make_spec()), ALONE, "1", None)
    assert now.cpu == describe_cpu() != ""
    assert find_differences(now, now) == ()
    then = now.model_copy(update={"ranks": 4, "cpu": "Z80, features 0"})
    assert find_differences(then, now) == (
        "ranks 4 then, 1 now",
        f"cpu Z80, features 0 then, {now.cpu} now",
    )
