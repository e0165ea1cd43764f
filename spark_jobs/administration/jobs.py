"""Which function does what an administration spec says."""

from serving.job.spec import Spec
from spark_jobs.administration.spec import (
    AdministrationJob,
    CompareRunsSpec,
    DiffSnapshotsSpec,
    ExportSpec,
    ListStagesSpec,
    PurgeSpec,
    TryStageSpec,
)


def run_administration(spec: AdministrationJob) -> Spec:
    """Do it; each kind's module is imported only when it is asked for."""
    if isinstance(spec, DiffSnapshotsSpec):
        from spark_jobs.administration.diff_snapshots import diff_snapshots

        return diff_snapshots(spec)
    if isinstance(spec, ExportSpec):
        from spark_jobs.administration.export import export_samples

        return export_samples(spec)
    if isinstance(spec, PurgeSpec):
        from spark_jobs.administration.purge import purge_samples

        return purge_samples(spec)
    if isinstance(spec, ListStagesSpec):
        from spark_jobs.administration.stages import list_stages

        return list_stages(spec)
    if isinstance(spec, TryStageSpec):
        from spark_jobs.administration.stages import try_stage

        return try_stage(spec)
    if isinstance(spec, CompareRunsSpec):
        from spark_jobs.administration.compare_runs import compare_runs

        return compare_runs(spec)
    raise TypeError(f"{type(spec).__name__} has no job")
