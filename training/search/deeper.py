"""The search below a head: one trial at a time on all ranks, kept so that a retry goes on."""

from pathlib import Path

import optuna
from optuna.trial import TrialState

from serving.job.search import Recipe
from serving.job.spec import Spec
from training.checkpoint import Progress
from training.search.space import Space, suggest_deeper
from training.search.study import ask, begin, find_finished
from training.tasks.protocol import Measured

STUDY_PATTERN = "study-*"
RESULT = "result"
# The leading rank asks for all.
RANK = 0


class Tried(Spec):
    """A trial. measured: by the fold that judges; None where its loss grew beyond all bounds.

    cut: the clock has ended it. key: of its checkpoint.
    """

    recipe: Recipe
    measured: Measured | None
    progress: Progress
    seconds: float
    cut: bool
    key: str


class DeeperStudy:
    """The leading rank's account of a depth's trials. key: hash of all that decides them."""

    def __init__(self, path: Path, key: str, seed: int, space: Space, first: Recipe) -> None:
        self._seed, self._space = seed, space
        self._study = begin(
            path, key, [first], lambda recipe: {name: getattr(recipe, name) for name in space}
        )

    def read(self) -> list[Tried]:
        """Trials that have ended, in their order."""
        done = find_finished(self._study)
        return [Tried.model_validate_json(one.user_attrs[RESULT]) for one in done]

    def ask(self) -> tuple[optuna.Trial, dict[str, float]]:
        """Draw the next one."""
        trial = ask(self._study, self._seed, RANK)
        return trial, suggest_deeper(trial, self._space)

    def keep(self, trial: optuna.Trial, tried: Tried) -> None:
        """Tell how it ended."""
        trial.set_user_attr(RESULT, tried.model_dump_json())
        if tried.measured is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, tried.measured.loss)


def find_deeper_file(scratch: Path, depth: str) -> Path:
    """Path of a depth's study."""
    return scratch / f"study-{depth}.log"
