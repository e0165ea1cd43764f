"""Script for the launcher: a training that always goes as deep as asked, then its replay."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from serving.job.main import parse_spec
from training import deepen, replay, train
from training.deepen import find_deepest
from training.fit import Trained
from training.head_weights import hash_weights
from training.loop import train_head
from training.main import main
from training.spec import TRAINING_SPEC, ReplaySpec, TrainSpec
from training.winner import Winner


def always(*given: Any) -> Winner:
    """Noise holds nothing to find: whatever was measured, it counts as better."""
    winner = find_deepest(*given)
    spec, ranks = given[:2]
    assert isinstance(spec, TrainSpec)
    assert winner.resolved.base is not None
    again = ReplaySpec(
        output_uri=spec.output_uri + "-replay",
        train=spec.model_copy(update={"scratch_uri": spec.scratch_uri + "-replay"}),
        resolved=winner.resolved,
        weights_sha256=hash_weights(winner.trained.head),
        code_version=spec.code_version,
    )
    with patch.object(replay, "join_ranks", return_value=ranks):
        print("same", replay.replay(again).same, flush=True)
    return winner


def worst(*given: Any, **named: Any) -> Trained:
    """The head before, as if it had got everything wrong."""
    trained = train_head(*given, **named)
    if trained.measured is None:
        return trained
    return replace(trained, measured=replace(trained.measured, loss=9.0, accuracy=-1.0))


if __name__ == "__main__":
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]
    parse_spec(TRAINING_SPEC, sys.argv[1:])
    with (
        patch.object(deepen, "LEAST_MISTAKES", -1),
        patch.object(deepen, "MOST_EPOCHS", 2),
        patch.object(deepen, "LEAST_EPOCHS", 1),
        patch.object(deepen, "train_head", worst),
        patch.object(train, "find_deepest", always),
    ):
        sys.exit(main())
