"""./modelmill prune."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel, ConfigDict

from pipelines.airflow_api import DagRun
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.command_line.runs import use_airflow
from pipelines.context import Installation
from pipelines.images import list_images, remove_image, use_engine
from pipelines.pruning import Found, Prunable, find_prunable
from pipelines.runtimes import list_runtimes
from serving.job import store
from serving.job.errors import UserError
from serving.job.mongo import use_database

if TYPE_CHECKING:
    from docker.client import DockerClient

SHOWN = 20
DAGS = "modelmill_"


class Failure(BaseModel):
    """Something that was not removed, and why."""

    model_config = ConfigDict(frozen=True)

    location: str
    reason: str


class Pruning(BaseModel):
    """What `prune` answers. removed: false where it was only asked about.

    size_bytes: of the items without those that failed.
    """

    model_config = ConfigDict(frozen=True)

    removed: bool
    items: tuple[Prunable, ...]
    failures: tuple[Failure, ...]
    size_bytes: int
    notes: tuple[str, ...]


@click.command()
@click.option(
    "--keep",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Runs and images that stay, the newest of each deployment.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@json_option
def prune(keep: int, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Remove what old runs left: their folders, feature caches, scratch, images.

    Stays, whatever --keep says: what a deployment and its previous version need, everything of
    the last day, runs that Airflow has not ended (where it does not answer: all), datasets and
    snapshots. Reports of removed runs are gone; their numbers stay in MLflow. A feature cache
    that goes is made again when a run wants it; an image below the models' goes once none stands
    on it, a gateway's once none runs. What killed jobs left half written goes after a day; reports
    of imports stay. Exit code 1 where something stayed that should have gone.
    """
    installation = use_installation()
    with use_engine(installation) as client:
        found, failures = look(installation, client, keep)
        if not as_json or not (yes or dry_run):
            show_found(found)
        if found.items and not dry_run:
            if not yes:
                ask()
            # Somebody may have rolled back while the question stood there.
            now, failures = look(installation, client, keep)
            found = found.model_copy(
                update={"items": tuple(i for i in found.items if i in now.items)}
            )
            failures += remove(found.items, client)
    failed = {failure.location for failure in failures}
    answer = Pruning(
        removed=not dry_run,
        items=found.items,
        failures=failures,
        size_bytes=sum(item.size_bytes for item in found.items if item.location not in failed),
        notes=found.notes,
    )
    if as_json:
        emit_json(answer)
    else:
        show_failures(failures)
    sys.exit(bool(failures))


def look(
    installation: Installation, client: "DockerClient | None", keep: int
) -> tuple[Found, tuple[Failure, ...]]:
    """What may go now, and what cannot be judged."""
    going: list[DagRun] | None = None
    failures: tuple[Failure, ...] = ()
    try:
        with use_airflow(installation) as api:
            going = api.list_unended(DAGS)
    except UserError as error:
        reason = f"{error} Which runs go on is not known, so that none is removed."
        failures = (Failure(location=f"{installation.artifacts.root}/runs", reason=reason),)
    with use_database() as database:
        snapshots = frozenset(database["snapshots"].distinct("_id"))
        images = (
            () if client is None else list_images(client, installation.layout.home_label, snapshots)
        )
        found = find_prunable(
            installation,
            database,
            images,
            going,
            runtimes=() if client is None else list_runtimes(client),
            keep=keep,
            now=datetime.now(UTC),
        )
    return found, failures


def ask() -> None:
    """End with exit code 1 unless the answer is yes."""
    if not sys.stdin.isatty():
        raise UserError("Nobody is there to be asked: add --yes where you are sure, or --dry-run.")
    click.confirm("Remove them?", abort=True, err=True)


def remove(items: Sequence[Prunable], client: "DockerClient | None") -> tuple[Failure, ...]:
    """Remove each; what could not be."""
    failures = []
    with click.progressbar(items, label="prune", file=sys.stderr) as shown:
        for item in shown:
            reason = remove_one(item, client)
            if reason:
                failures.append(Failure(location=item.location, reason=reason))
    return tuple(failures)


def remove_one(item: Prunable, client: "DockerClient | None") -> str:
    """Remove it; why that failed, or nothing."""
    from hdfs import HdfsError

    try:
        if item.kind not in ("image", "runtime"):
            store.delete(item.location)
        elif client is not None:
            return remove_image(client, item.location)
    except (OSError, HdfsError, UserError) as error:
        return str(error) or type(error).__name__
    return ""


def show_found(found: Found) -> None:
    """Sums by kind, and the first of each; on standard error, where questions are asked."""
    if not found.items:
        click.echo("Nothing to remove.", err=True)
    for kind in dict.fromkeys(item.kind for item in found.items):
        alike = [item for item in found.items if item.kind == kind]
        size = describe_size(sum(item.size_bytes for item in alike))
        click.echo(f"{kind}: {len(alike)}, {size}", err=True)
        for item in alike[:SHOWN]:
            click.echo(f"  {describe_size(item.size_bytes):>9}  {item.location}", err=True)
        if alike[SHOWN:]:
            click.echo(f"  … and {len(alike) - SHOWN} more", err=True)
    if any(item.kind == "image" for item in found.items):
        click.echo("Images share layers, so that less is freed than their sum.", err=True)
    for note in found.notes:
        click.echo(note, err=True)


def show_failures(failures: Sequence[Failure]) -> None:
    """What stayed against the plan."""
    for failure in failures:
        click.echo(f"not removed: {failure.location}: {failure.reason}")


def describe_size(size: int) -> str:
    """Bytes in words."""
    amount, units = float(size), ["B", "kB", "MB", "GB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"
