"""Script for the launcher: a training whose last blocks are always taken, then its replay."""

import sys
from dataclasses import replace
from pathlib import Path

from serving.job.main import parse_spec
from training import deepen, replay, train
from training.fit import Trained
from training.head_weights import hash_weights
from training.main import main
from training.spec import TRAINING_SPEC, ReplaySpec, TrainSpec
from training.winner import Winner


def always(*given: object) -> Winner:
    """Noise holds nothing to find: whatever was measured, it counts as better."""
    winner = find(*given)  # type: ignore[arg-type]
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
    join = replay.join_ranks
    replay.join_ranks = lambda _: ranks  # type: ignore[assignment,return-value]
    print("same", replay.replay(again).same, flush=True)
    replay.join_ranks = join
    return winner


def worst(fit: object, *given: object, **named: object) -> Trained:
    """The head before, as if it had got everything wrong."""
    trained = known(fit, *given, **named)  # type: ignore[arg-type]
    if "network" in named or trained.measured is None:
        return trained
    return replace(trained, measured=replace(trained.measured, loss=9.0, accuracy=-1.0))


if __name__ == "__main__":
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]
    parse_spec(TRAINING_SPEC, sys.argv[1:])
    deepen.LEAST_MISTAKES, deepen.MOST_EPOCHS = -1, 2
    find, known = deepen.find_deepest, deepen.train_head
    deepen.train_head = worst  # type: ignore[assignment]
    train.find_deepest = always
    sys.exit(main())
