"""Entry of the training jobs; paddle.distributed.launch starts it once per device."""

import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from serving.job.errors import ServiceError, UserError
from serving.job.main import SERVICE_ERROR_EXIT_CODE, parse_spec, run_job
from serving.job.spec import USER_ERROR_EXIT_CODE
from training.spec import (
    TRAINING_SPEC,
    ExportBackboneOutcome,
    ExportBackboneSpec,
    ReplayOutcome,
    ReplaySpec,
    TrainOutcome,
    TrainSpec,
)

# Set by the launcher; it is what dist.get_rank() reads, and Paddle takes seconds to import.
RANK_VARIABLE = "PADDLE_TRAINER_ID"


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import without looking for garbage, of which modules leave none: a fifth of the time."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def run(
    spec: TrainSpec | ReplaySpec | ExportBackboneSpec,
) -> TrainOutcome | ReplayOutcome | ExportBackboneOutcome:
    """Do what the spec says, on rank 0."""
    if isinstance(spec, ExportBackboneSpec):
        from training.backbones.export import export_backbone

        return export_backbone(spec)
    if isinstance(spec, ReplaySpec):
        from training.replay import replay

        return replay(spec)
    with loading():
        from training.ranks import explain_loss
        from training.train import lead

    with explain_loss():
        return lead(spec)


def run_beside(spec: TrainSpec | ReplaySpec | ExportBackboneSpec) -> int:
    """Do another rank's part.

    A user's error ends with 0: all ranks meet it alike (see Ranks.share_errors), and a failing
    rank would make the launcher end rank 0 before it has written the sentence down.
    """
    if isinstance(spec, TrainSpec):
        with loading():
            from training.ranks import PLACE_VARIABLE, explain_loss
            from training.train import follow

        try:
            with explain_loss():
                follow(spec)
        except UserError as error:
            # Not on another machine, whose ranks are not its places: its launcher ends no rank 0,
            # and has to hear that this one trains no more.
            if os.environ[RANK_VARIABLE] != os.environ.get(PLACE_VARIABLE):
                print(f"ERROR: {error}", file=sys.stderr, flush=True)
                return USER_ERROR_EXIT_CODE
        except ServiceError as error:
            print(f"ERROR: {error}", file=sys.stderr, flush=True)
            return SERVICE_ERROR_EXIT_CODE
    if isinstance(spec, ReplaySpec):
        from training.replay import replay

        with contextlib.suppress(UserError):
            replay(spec)
    return 0


def quiet_paddle() -> None:
    """Keep Paddle's notes to its own developers out of the task's log; errors stay."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.filterwarnings("ignore", message="No ccache found")


def leads() -> bool:
    """Whether this process is rank 0."""
    return int(os.environ.get(RANK_VARIABLE, "0")) == 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job on one rank; rank 0 leaves the outcome, or the sentence for the user."""
    quiet_paddle()
    arguments = sys.argv[1:] if argv is None else argv
    if leads():
        return run_job(TRAINING_SPEC, run, arguments)
    return run_beside(parse_spec(TRAINING_SPEC, arguments))


if __name__ == "__main__":
    # As a script, its own folder comes first on the path, and with it modules named like others'.
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]
    exit_code = main()
    if exit_code or leads():
        # Paddle's threads abort the process on a normal exit while peers are still connected,
        # and the exit code would be lost. And nobody has to wait until all is taken down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
