"""Entry of every job: one argument, an outcome or a sentence at the end."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from serving.job import store
from serving.job.errors import ServiceError, UserError
from serving.job.spec import ERROR_FILE, OUTCOME_FILE, USER_ERROR_EXIT_CODE, JobError, JobSpec, Spec

SERVICE_ERROR_EXIT_CODE = 1
SpecT = TypeVar("SpecT", bound=JobSpec)


def parse_spec(adapter: TypeAdapter[SpecT], argv: Sequence[str]) -> SpecT:
    """Read --spec, either JSON or the URI of a JSON file, and validate it."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--spec", required=True, help="JSON, or the URI of a JSON file")
    text: str = parser.parse_args(argv).spec
    content = text if text.lstrip().startswith("{") else store.read_bytes(text)
    return adapter.validate_json(content)


def run_job(
    adapter: TypeAdapter[SpecT], run: Callable[[SpecT], Spec], argv: Sequence[str] | None = None
) -> int:
    """Run one job and return the process's exit code.

    0: outcome.json lies below output_uri. 64: the user's error; the sentence is printed and lies
    in error.json. 1: a service or a disk fails; the sentence is printed, and a retry may do better.
    Anything else escapes as an exception: a defect.
    """
    try:
        spec = parse_spec(adapter, sys.argv[1:] if argv is None else argv)
    except (ValidationError, UserError, FileNotFoundError) as error:
        print(f"This job's spec cannot be used: {error}", file=sys.stderr)
        return USER_ERROR_EXIT_CODE
    try:
        outcome = run(spec)
    except UserError as error:
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        store.write_model(store.join(spec.output_uri, ERROR_FILE), JobError(message=str(error)))
        return USER_ERROR_EXIT_CODE
    except ServiceError as error:
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        return SERVICE_ERROR_EXIT_CODE
    store.write_model(store.join(spec.output_uri, OUTCOME_FILE), outcome)
    return 0
