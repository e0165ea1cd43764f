"""Entry of the data jobs: import, etl, evaluate, predict, and administration of what is there."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # As a script, its own folder comes first on the path, and with it modules named like others'.
    # The checkout takes its place: before Spark's copy of this code, which has no bytecode.
    own = Path(__file__).resolve().parent
    sys.path[:] = [str(own.parent), *(p for p in sys.path if Path(p).resolve() != own)]

from collections.abc import Sequence

from spark_jobs.search_path import prefer_bytecode

if __name__ == "__main__":
    prefer_bytecode()

from pydantic import TypeAdapter

from serving.job.main import run_job
from serving.job.spec import Spec
from spark_jobs.administration.spec import AdministrationJob, AdministrationSpec
from spark_jobs.predict_spec import PredictSpec
from spark_jobs.session import end_session
from spark_jobs.spec import (
    EtlSpec,
    EvaluateSpec,
    ImportCollectionSpec,
    ImportSpec,
    SparkSpec,
    WarmUpSpec,
)

JOB_SPEC: TypeAdapter[SparkSpec | AdministrationSpec | PredictSpec] = TypeAdapter(
    SparkSpec | AdministrationSpec | PredictSpec
)


def run(  # noqa: PLR0911 - a return a kind
    spec: ImportSpec
    | ImportCollectionSpec
    | EtlSpec
    | EvaluateSpec
    | PredictSpec
    | WarmUpSpec
    | AdministrationJob,
) -> Spec:
    """Do what the spec says."""
    if isinstance(spec, AdministrationJob):
        from spark_jobs.administration.jobs import run_administration

        return run_administration(spec)
    if isinstance(spec, ImportSpec):
        from spark_jobs.importing.job import run_import

        return run_import(spec)
    if isinstance(spec, ImportCollectionSpec):
        from spark_jobs.importing.collection import run_import_collection

        return run_import_collection(spec)
    if isinstance(spec, EtlSpec):
        from spark_jobs.etl import run_etl

        return run_etl(spec)
    if isinstance(spec, EvaluateSpec):
        from spark_jobs.evaluate import run_evaluate

        return run_evaluate(spec)
    if isinstance(spec, PredictSpec):
        from spark_jobs.predict import run_predict

        return run_predict(spec)
    from spark_jobs.warm_up import run_warm_up

    return run_warm_up(spec)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job and return the process's exit code."""
    try:
        return run_job(JOB_SPEC, run, argv)
    finally:
        end_session()


if __name__ == "__main__":
    sys.exit(main())
