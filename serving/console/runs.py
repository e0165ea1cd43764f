"""Runs and their reports, read from where the runs write them."""

import re
from contextlib import suppress
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, ValidationError

from serving.job import store
from serving.job.spec import OUTCOME_FILE

RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
EVALUATE = "evaluate"
COMMITTED = "committed"
REPORT_FILE = "report.html"
MAX_RUNS = 100


class RunSummary(BaseModel):
    """What the evaluation's outcome says in short."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    started: str
    dataset: str = ""
    accuracy: float
    macro_f1: float
    test_samples: int


class _PlannedRequest(BaseModel):
    dataset: str = ""


class _Plan(BaseModel):
    """The part of a run's plan that the list shows."""

    request: _PlannedRequest = _PlannedRequest()


def find_attempt(runs_uri: str, run_id: str) -> str | None:
    """Folder of the attempt whose report counts; None where the run has none."""
    if not RUN_ID.fullmatch(run_id):
        return None
    task = store.join(runs_uri, run_id, EVALUATE)
    try:
        number = store.read_bytes(store.join(task, COMMITTED)).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    return store.join(task, f"attempt-{number}") if number.isdigit() else None


def read_report(runs_uri: str, run_id: str) -> str | None:
    """The report's HTML; None where the run has none."""
    attempt = find_attempt(runs_uri, run_id)
    if attempt is None:
        return None
    try:
        return store.read_bytes(store.join(attempt, REPORT_FILE)).decode()
    except FileNotFoundError:
        return None


def list_runs(runs_uri: str) -> list[RunSummary]:
    """Runs that have a report, newest first: ids begin with the time."""
    ids = [name for name in store.list_names(runs_uri) if RUN_ID.fullmatch(name)]
    summaries: list[RunSummary] = []
    for run_id in sorted(ids, reverse=True)[:MAX_RUNS]:
        attempt = find_attempt(runs_uri, run_id)
        # A run of another version, or one that is being removed, must not hide the others.
        with suppress(FileNotFoundError, ValidationError):
            if attempt is not None:
                summaries.append(_summarise(runs_uri, run_id, attempt))
    return summaries


# A committed attempt never changes.
@lru_cache(maxsize=4 * MAX_RUNS)
def _summarise(runs_uri: str, run_id: str, attempt: str) -> RunSummary:
    fields = store.read_model(store.join(attempt, OUTCOME_FILE), _Outcome)
    day, time = run_id[:8], run_id[9:15]
    return RunSummary(
        run_id=run_id,
        started=f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]} UTC",
        dataset=_read_dataset(store.join(runs_uri, run_id, "plan.json")),
        **fields.model_dump(),
    )


class _Outcome(BaseModel):
    accuracy: float
    macro_f1: float
    test_samples: int


def _read_dataset(plan_uri: str) -> str:
    try:
        return store.read_model(plan_uri, _Plan).request.dataset
    except (FileNotFoundError, ValidationError):
        return ""
