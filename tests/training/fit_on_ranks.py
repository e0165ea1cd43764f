"""Script for the launcher: fit only, and leave curves and weights in the output folder."""

import sys
from pathlib import Path

from serving.job.main import parse_spec
from training.checkpoint import Checkpoint, to_bytes
from training.loop import fit
from training.ranks import join_ranks
from training.spec import TRAINING_SPEC, TrainSpec
from training.tasks.protocol import load_task


def main() -> None:
    spec = parse_spec(TRAINING_SPEC, sys.argv[1:])
    assert isinstance(spec, TrainSpec)
    data, model = load_task(spec.task)
    sides = data.read_sides(spec)
    ranks = join_ranks(spec.devices)
    trained = fit(spec, ranks, sides, model)
    weights = {name: value.numpy() for name, value in trained.head.state_dict().items()}
    target = Path(spec.output_uri.removeprefix("file://"))
    target.mkdir(parents=True, exist_ok=True)
    result = Checkpoint(trained.progress, weights, {}, {})
    (target / f"rank-{ranks.rank}.npz").write_bytes(to_bytes(result))


if __name__ == "__main__":
    main()
