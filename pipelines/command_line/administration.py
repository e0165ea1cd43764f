"""What the commands on data share: who gives them, and a job for what needs the bytes."""

import getpass
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from pipelines.commands import Command, local_folder, python_command
from pipelines.context import Installation
from pipelines.run_job import run_job_here
from serving.job import store
from serving.job.spec import OUTCOME_FILE, JobSpec, Spec

SPEC_FILE = "spec.json"
OutcomeT = TypeVar("OutcomeT", bound=Spec)

dataset_option = click.option("--dataset", required=True, help="Name of the dataset.")


def read_actor(way: str = "command line") -> str:
    """Who acts, and by which way, for histories."""
    try:
        return f"{getpass.getuser()} ({way})"
    except (KeyError, OSError):
        # A container's user may have no name.
        return way


@contextmanager
def use_scratch(installation: Installation) -> Iterator[str]:
    """A local folder's URI, for one job's spec and outcome; removed at the end."""
    folder = installation.layout.scratch / "commands" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder.as_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_data_job(spec: JobSpec, outcome: type[OutcomeT], installation: Installation) -> OutcomeT:
    """A job of spark_jobs that starts no Spark; progress goes to standard error."""
    command = python_command(installation.layout, "spark_jobs.main", spec)
    return run_command(command, spec, outcome, installation)


def run_command(
    command: Command, spec: JobSpec, outcome: type[OutcomeT], installation: Installation
) -> OutcomeT:
    """Run it on this machine. Raises UserError with the job's own sentence."""
    # As a file: a spec may name more samples than an argument may have bytes.
    spec_uri = store.join(spec.output_uri, SPEC_FILE)
    local_folder(spec.output_uri).mkdir(parents=True, exist_ok=True)
    store.write_model(spec_uri, spec)
    by_file = command.model_copy(update={"argv": (*command.argv[:-1], spec_uri)})
    run_job_here(by_file, spec, installation.job_environment(), sys.stderr)
    return store.read_model(store.join(spec.output_uri, OUTCOME_FILE), outcome)
