"""Run one job and wait for it: what `up` and the command line do themselves, without Airflow."""

import subprocess
from collections.abc import Mapping
from typing import IO

from pipelines.commands import Command
from pipelines.local.layout import REPO
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import ERROR_FILE, JobError, JobSpec


class JobFailedError(RuntimeError):
    """A job ended without an outcome and without a sentence: a defect, or a failing service."""


def run_job_here(
    command: Command,
    spec: JobSpec,
    environment: Mapping[str, str],
    output: IO[str] | IO[bytes] | None = None,
) -> None:
    """Run it to its end; what it prints goes to `output`, or where this process prints.

    Raises UserError with the job's own sentence, JobFailedError where it left none.
    """
    done = subprocess.run(
        list(command.argv),
        env={**environment, **command.environment},
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode == 0:
        return
    try:
        error = store.read_model(store.join(spec.output_uri, ERROR_FILE), JobError)
    except FileNotFoundError:
        kind = spec.model_dump()["kind"]
        raise JobFailedError(f"{kind} ended with exit code {done.returncode}") from None
    raise UserError(error.message)
