"""The study: one journal file in the training's scratch folder, which all ranks share.

A killed search goes on where it was: the sampler's seed depends only on how many trials are
finished, so it asks for what it would have asked for.
"""

import itertools
import json
import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from serving.job.search import Recipe
from training.checkpoint import explain_disk
from training.search.space import name_choices

# Epochs at which a trial is compared with the others.
RUNGS = (3, 6, 12, 24, 48, 96)
RANDOM_TRIALS = 8
TRIALS_BEFORE_PRUNING = 5
# Optuna's own key for the parameters of a trial that was asked for.
FIXED = "fixed_params"
# Of a lock that nobody gives back, for its holder was killed. Lines are written in milliseconds;
# the other ranks wait for half a minute, and then give up.
LOCK_SECONDS = 5
NAME, KEY = "search", "key"


class Journal(JournalFileBackend):
    """A study's file; ServiceError where the disk takes no more."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines.

        Without Optuna's wait for the disk, a dozen times a trial and under the lock: a killed
        process loses nothing that it has written, and a machine without power little.
        """
        lines = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        path = Path(self._file_path)
        with explain_disk(path.parent):
            self._lock.acquire()
            try:
                with path.open("ab") as file:
                    file.write(lines.encode())
            finally:
                self._lock.release()


def find_study_file(scratch: Path) -> Path:
    """Path of a training's study."""
    return scratch / "study.log"


def open_study(path: Path) -> optuna.Study:
    """Open or begin the study of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # The journal, and constraints: both stable enough to be pinned to this major version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(
            storage=JournalStorage(
                Journal(str(path), JournalFileSymlinkLock(str(path), LOCK_SECONDS))
            ),
            study_name=NAME,
            direction="minimize",
            pruner=MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING),
            load_if_exists=True,
        )


def begin(
    path: Path,
    key: str,
    first: Sequence[Recipe],
    name: Callable[[Recipe], dict[str, Any]] = name_choices,
) -> optuna.Study:
    """Ask for the first recipes, and again for what a killed attempt left unfinished.

    One process does this before the others join. A study of another key, which is the hash of all
    that decides the search, is begun anew. name: a recipe's values as they are drawn.
    """
    _drop_damaged(path)
    study = open_study(path)
    if study.user_attrs.get(KEY, key) != key:
        path.unlink()
        study = open_study(path)
    study.set_user_attr(KEY, key)
    trials = study.get_trials(deepcopy=False)
    if not trials:
        for recipe in first:
            study.enqueue_trial(name(recipe))
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            if FIXED in trial.system_attrs:
                study.enqueue_trial(trial.system_attrs[FIXED])
    return study


def _drop_damaged(path: Path) -> None:
    """Cut off all from the first line that a full disk, a kill or a power cut has damaged."""
    if path.is_file():
        whole = itertools.takewhile(_is_whole, path.read_bytes().splitlines(keepends=True))
        os.truncate(path, sum(map(len, whole)))


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")


def ask(study: optuna.Study, seed: int, rank: int) -> optuna.Trial:
    """Draw the next trial."""
    finished = len(find_finished(study))
    drawn = int(np.random.default_rng([seed, finished, rank]).integers(2**31))
    study.sampler = TPESampler(seed=drawn, n_startup_trials=RANDOM_TRIALS)
    return study.ask()


def find_finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended by themselves, in their order."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def count_begun(study: optuna.Study, before: float = math.inf) -> int:
    """Trials that are finished or on their way, with a number below `before`."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    return sum(trial.number < before for trial in trials)
