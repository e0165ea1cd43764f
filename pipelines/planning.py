"""The plan task's look at the world: is the dataset there, where is the backbone, what is read."""

from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from pipelines.catalogue import check_dataset, check_task
from pipelines.code import code_version
from pipelines.commands import python_command
from pipelines.context import Installation
from pipelines.plan import BACKBONE, RunPlan, make_plan
from pipelines.request import RunRequest
from pipelines.run_job import run_job_here
from pipelines.snapshots import check_snapshot
from serving.job import store
from serving.job.errors import UserError
from serving.job.locations import split_location
from training.spec import ExportBackboneOutcome, ExportBackboneSpec


def plan_run(
    request: RunRequest, *, run_id: str, cutoff: datetime, actor: str, installation: Installation
) -> RunPlan:
    """Check the dataset, make sure of the backbone, and decide everything else."""
    check_dataset(request.dataset)
    check_task(request.dataset)
    if request.snapshot:
        check_snapshot(request.dataset, request.snapshot)
    return make_plan(
        request,
        run_id=run_id,
        cutoff=cutoff,
        actor=actor,
        code_version=code_version(),
        artifacts=installation.artifacts,
        backbone=ensure_backbone(installation),
    )


def ensure_backbone(
    installation: Installation, output: IO[str] | None = None
) -> ExportBackboneOutcome:
    """The backbone's card; the network is exported first where that was never done."""
    artifacts = installation.artifacts
    card = artifacts.backbone_card(BACKBONE)
    try:
        return store.read_model(card, ExportBackboneOutcome)
    except FileNotFoundError:
        print(f"Exporting the backbone {BACKBONE}, once for this installation", file=output)
    spec = ExportBackboneSpec(
        output_uri=store.join(artifacts.backbones, BACKBONE), backbone=BACKBONE
    )
    command = python_command(installation.layout, "training.main", spec)
    run_job_here(command, spec, installation.job_environment(), output)
    return store.read_model(card, ExportBackboneOutcome)


def resolve_import(source: str, roots: tuple[Path, ...]) -> str:
    """URI of what an import reads: hdfs:// as it is, a local path only below one of the roots."""
    if "@" in source.partition("://")[2].partition("/")[0]:
        raise UserError("source holds user:password@, but secrets do not belong in forms.")
    try:
        parts = split_location(source)
        path = Path(unquote(parts.path) if parts.scheme else source).resolve()
    except ValueError as error:
        raise UserError(f"source was {source!r}, but that is no location: {error}.") from None
    if parts.scheme == "hdfs":
        return source
    if parts.scheme not in ("", "file"):
        raise UserError(
            f"source was {source!r}, but allowed is: an absolute path or hdfs://HOST:PORT/PATH."
        )
    allowed = [root.resolve() for root in roots]
    if not any(path.is_relative_to(root) for root in allowed):
        raise UserError(
            f"source was {source!r}, but this form reads only below "
            f"{' and '.join(map(str, allowed))} (setting MODELMILL_IMPORT_ROOTS). "
            "On the machine itself, ./modelmill import reads any folder."
        )
    if not path.exists():
        raise UserError(f"source was {source!r}, but there is no such folder or file.")
    return path.as_uri()
