"""The plan task's look at the world: the dataset, the backbones, what an import reads."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from pydantic import ValidationError

from pipelines.catalogue import check_dataset
from pipelines.code import code_version
from pipelines.commands import python_command
from pipelines.context import Installation
from pipelines.devices import count_cores
from pipelines.plan import RunPlan, make_plan
from pipelines.request import AUTO, RunRequest
from pipelines.run_job import run_job_here
from pipelines.search_plan import BACKBONES
from pipelines.snapshots import check_snapshot
from pipelines.warm_start import find_warm_start
from serving.job import store
from serving.job.errors import UserError
from serving.job.locations import split_location
from training.spec import ExportBackboneOutcome, ExportBackboneSpec, FromScratch, NewBackbone


def plan_run(
    request: RunRequest, *, run_id: str, cutoff: datetime, actor: str, installation: Installation
) -> RunPlan:
    """Check the dataset, make sure of the backbones, and decide everything else."""
    check_dataset(request.dataset)
    if request.snapshot:
        check_snapshot(request.dataset, request.snapshot)
    return make_plan(
        request,
        run_id=run_id,
        cutoff=cutoff,
        actor=actor,
        code_version=code_version(),
        artifacts=installation.artifacts,
        cards=ensure_backbones(installation),
        warm_from=find_warm_start(request.served_as) if request.warm_start == "champion" else None,
    )


def find_card(installation: Installation, name: str) -> ExportBackboneOutcome | None:
    """A backbone's card; None where it was never exported, or its card is of an older form."""
    try:
        return store.read_model(installation.artifacts.backbone_card(name), ExportBackboneOutcome)
    except (FileNotFoundError, ValidationError):
        return None


def ensure_backbones(
    installation: Installation, output: IO[str] | None = None
) -> tuple[ExportBackboneOutcome, ...]:
    """Every backbone's card: of those that ship, exported first where need be, and of the added."""
    there = {name: find_card(installation, name) for name in BACKBONES}
    missing = [name for name, card in there.items() if card is None]
    if missing:
        print(f"Exporting {', '.join(missing)}, once for this installation", file=output)
        # Mostly one core's work each; more at a time would only take memory.
        with ThreadPoolExecutor(max_workers=count_cores()) as pool:
            exported = pool.map(lambda name: _export(installation, name, output), missing)
            there |= dict(zip(missing, exported, strict=True))
    names = store.list_names(installation.artifacts.backbones)
    added = [find_card(installation, name) for name in names if name not in there]
    return tuple(card for card in (*there.values(), *added) if card is not None)


def add_backbone(
    installation: Installation,
    name: str,
    given: NewBackbone | FromScratch,
    output: IO[str] | None = None,
) -> ExportBackboneOutcome:
    """Export a network with weights that a user brought, or random ones; UserError if need be."""
    if name in (AUTO, *BACKBONES):
        raise UserError(f"{name} is taken: choose another name for your backbone.")
    card = find_card(installation, name)
    other = card.file.weights if card is not None else None
    if card is None or other is None:
        return _export(installation, name, output, given)
    if isinstance(given, FromScratch):
        is_same = other.untrained and (other.network, card.source) == (given.network, given.source)
    else:
        brought = given.weights
        is_same = (other.network, other.sha256) == (brought.network, brought.sha256)
    if not is_same:
        raise UserError(
            f"There is a backbone {name} already, {other.network} with weights of sha256 "
            f"{other.sha256} ({card.source}): choose another name."
        )
    added = _export(installation, name, output, given)
    was, now = card.file.licence, added.file.licence
    if was != now:
        told = f"The licence of {name} was {was!r}, and is {now!r} for models made from now on."
        print(told, file=output)
    return added


def _export(
    installation: Installation,
    name: str,
    output: IO[str] | None,
    given: NewBackbone | FromScratch | None = None,
) -> ExportBackboneOutcome:
    artifacts = installation.artifacts
    spec = ExportBackboneSpec(
        output_uri=store.join(artifacts.backbones, name), backbone=name, given=given
    )
    command = python_command(installation.layout, "training.main", spec)
    run_job_here(command, spec, installation.job_environment(), output)
    return store.read_model(artifacts.backbone_card(name), ExportBackboneOutcome)


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
