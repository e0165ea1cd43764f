"""Attempts of a task: who may write, who may commit, and what a retry takes over.

A task's folder holds attempt-N/ (what attempt N wrote, with its fencing token `_token` while it
may still commit, and `_work.json`, which says what it was asked to do) and, once one attempt has
been committed, the file `committed`, whose content is that attempt's number. Committing is one
rename, _token → committed: atomic on HDFS, and impossible once a newer attempt has removed the
token.
"""

import re

from serving.job import store
from serving.job.spec import Spec

COMMITTED_FILE = "committed"
TOKEN_FILE = "_token"  # noqa: S105 - a fencing token is no secret
WORK_FILE = "_work.json"
_ATTEMPT = re.compile(r"attempt-(\d+)")


class StaleAttemptError(Exception):
    """A newer attempt of the same task has taken over."""


class Work(Spec):
    """What an attempt was asked to do: equal work may be taken over by a retry."""

    spec_hash: str
    code_version: str


class Attempt(Spec):
    """A place to write. `reused`: an earlier attempt's finished work lies there already."""

    task_uri: str
    number: int
    reused: bool = False

    @property
    def uri(self) -> str:
        """The attempt's folder."""
        return attempt_uri(self.task_uri, self.number)


def attempt_uri(task_uri: str, number: int) -> str:
    """Folder of one attempt."""
    return store.join(task_uri, f"attempt-{number}")


def list_attempts(task_uri: str) -> list[int]:
    """Numbers of the attempts that have a folder, in ascending order."""
    matches = (_ATTEMPT.fullmatch(name) for name in store.list_names(task_uri))
    return sorted(int(match[1]) for match in matches if match)


def read_committed(task_uri: str) -> int | None:
    """Number of the committed attempt."""
    try:
        return int(store.read_bytes(store.join(task_uri, COMMITTED_FILE)))
    except FileNotFoundError:
        return None


def acquire(task_uri: str, number: int, first: int, work: Work) -> Attempt:
    """Take the task over for attempt `number`; older attempts cannot commit from here on.

    `first` is the first attempt since the task was last cleared: work that was committed by an
    earlier one is discarded, work of a later one is reused if it is the same work. Raises
    StaleAttemptError where a newer attempt is there.
    """
    token = store.join(attempt_uri(task_uri, number), TOKEN_FILE)
    try:
        store.write_bytes(token, str(number).encode(), overwrite=False)
    except FileExistsError:
        raise StaleAttemptError(f"Attempt {number} of {task_uri} is taken already.") from None
    except FileNotFoundError:
        raise StaleAttemptError(f"Attempt {number} of {task_uri} met a newer one.") from None
    # Own token first, then the look at the others: of two attempts that start at once, at least
    # the newer one sees the older.
    others = [other for other in list_attempts(task_uri) if other != number]
    if any(other > number for other in others):
        store.delete(token)
        raise StaleAttemptError(f"Attempt {number} of {task_uri} came after a newer one.")
    for other in others:
        store.delete(store.join(attempt_uri(task_uri, other), TOKEN_FILE))
    committed = read_committed(task_uri)
    if committed is not None:
        if committed >= first and _read_work(task_uri, committed) == work:
            store.delete(token)
            return Attempt(task_uri=task_uri, number=committed, reused=True)
        store.delete(store.join(task_uri, COMMITTED_FILE))
    store.write_model(store.join(attempt_uri(task_uri, number), WORK_FILE), work)
    return Attempt(task_uri=task_uri, number=number)


def _read_work(task_uri: str, number: int) -> Work | None:
    try:
        return store.read_model(store.join(attempt_uri(task_uri, number), WORK_FILE), Work)
    except FileNotFoundError:
        return None


def commit(attempt: Attempt) -> None:
    """Make an attempt's work the task's; raises StaleAttemptError if a newer one took over."""
    token = store.join(attempt.uri, TOKEN_FILE)
    if not store.rename(token, store.join(attempt.task_uri, COMMITTED_FILE)):
        raise StaleAttemptError(
            f"Attempt {attempt.number} of {attempt.task_uri} was overtaken: its work is dropped."
        )
