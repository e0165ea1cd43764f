"""Script for the launcher: the final training only; and deeper where the spec asks for it.

Leaves curves and weights in the output.
"""

import os
import signal
import sys
from pathlib import Path
from unittest.mock import patch

from serving.job.main import parse_spec
from tests.training.fitting import fit_deep_too, fit_of, material_of
from training import checkpoint, loop
from training.checkpoint import Checkpoint, to_bytes, write
from training.loop import train_head
from training.ranks import join_ranks
from training.spec import TRAINING_SPEC, TrainSpec
from training.tasks.protocol import load_task
from training.winner import select_rows

DEEP_EPOCHS = 6
# Of the whole network; in larger steps, what is rounding would grow.
WHOLE = {"mixup": 0.2, "learning_rate": 2e-5}
# Set to a number: the process that writes the checkpoint of that step of the second epoch is
# killed then.
KILL_VARIABLE = "KILLED_AT_STEP"


def write_and_be_killed(path: Path, state: Checkpoint) -> None:
    write(path, state)
    progress = state.progress
    if len(progress.epochs) == 1 and str(progress.step) == os.environ.get(KILL_VARIABLE):
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    spec = parse_spec(TRAINING_SPEC, sys.argv[1:])
    assert isinstance(spec, TrainSpec)
    fit = fit_of(spec)
    rows = select_rows(material_of(spec), fit.recipe)
    ranks = join_ranks(spec.devices)
    trained = train_head(fit, ranks, rows, load_task(spec.task)[1], spec.scratch_uri)
    if spec.deepest != "head":
        # On a fast machine, all epochs would fit between two checkpoints.
        with (
            patch.multiple(loop, CHECKPOINT_INTERVAL_S=0.0, STEP_INTERVAL_S=0.0),
            patch.object(checkpoint, "write", write_and_be_killed),
        ):
            changes = WHOLE if spec.deepest == "network" else {}
            trained = fit_deep_too(spec, ranks, trained, DEEP_EPOCHS, **changes)
    weights = {name: value.numpy() for name, value in trained.head.state_dict().items()}
    target = Path(spec.output_uri.removeprefix("file://"))
    target.mkdir(parents=True, exist_ok=True)
    result = Checkpoint(trained.progress, weights, {}, {})
    (target / f"rank-{ranks.rank}.npz").write_bytes(to_bytes(result))


if __name__ == "__main__":
    main()
