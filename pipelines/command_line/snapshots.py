"""./modelmill snapshots and export."""

import sys
from pathlib import Path

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import check_dataset
from pipelines.command_line.administration import dataset_option, run_data_job, use_scratch
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.snapshots import SnapshotSummary, find_snapshot, list_snapshots
from serving.bundle.manifest import SEVERAL
from serving.job.mongo import use_database
from spark_jobs.administration.spec import (
    DiffSnapshotsSpec,
    ExportOutcome,
    ExportSpec,
    SnapshotDiff,
)
from spark_jobs.spec import Side

# How many samples a person is shown; --json has them all.
SHOWN = 20
SIDES: tuple[Side, ...] = ("train", "val", "test")


class SnapshotList(BaseModel):
    """What `snapshots` answers."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    snapshots: tuple[SnapshotSummary, ...]


@click.command()
@dataset_option
@click.option(
    "--diff", nargs=2, metavar="OLD NEW", help="Compare two: ids, or the first digits of them."
)
@json_option
def snapshots(dataset: str, diff: tuple[str, str] | None, as_json: bool) -> None:
    """List the snapshots that runs were trained on, newest first; or compare two of them."""
    installation = use_installation()
    check_dataset(dataset)
    if diff is None:
        with use_database() as database:
            answer = SnapshotList(dataset=dataset, snapshots=list_snapshots(database, dataset))
        emit_json(answer) if as_json else show_snapshots(answer)
        return
    with use_database() as database:
        old, new = (find_snapshot(database, dataset, text).snapshot_id for text in diff)
    with use_scratch(installation) as output_uri:
        spec = DiffSnapshotsSpec(
            output_uri=output_uri,
            snapshots_uri=installation.artifacts.snapshots,
            old=old,
            new=new,
        )
        found = run_data_job(spec, SnapshotDiff, installation)
    emit_json(found) if as_json else show_diff(found)


def show_snapshots(answer: SnapshotList) -> None:
    """One line a snapshot."""
    if not answer.snapshots:
        click.echo(
            f"No snapshot yet. A run makes one: ./modelmill train --dataset {answer.dataset}"
        )
    for one in answer.snapshots:
        sides = ", ".join(f"{one.count_side(side)} {side}" for side in SIDES)
        classes = len({count.label for count in one.counts})
        several = ", several labels a sample" if one.task == SEVERAL else ""
        purged = f"; {one.purged} of them purged" if one.purged else ""
        click.echo(
            f"{one.snapshot_id}  labels as of {one.cutoff:%Y-%m-%d %H:%M:%S} UTC  "
            f"{one.samples} samples in {classes} classes{several}: {sides}{purged}"
        )


def show_diff(found: SnapshotDiff) -> None:
    """Counts, and the first of each kind."""
    click.echo(
        f"{found.old} → {found.new}: {len(found.added)} added, {len(found.removed)} removed, "
        f"{len(found.relabelled)} relabelled"
    )
    lines = [f"  + {row.name}  {row.label!r}" for row in found.added[:SHOWN]]
    lines += [f"  - {row.name}  {row.label!r}" for row in found.removed[:SHOWN]]
    lines += [f"  ~ {row.name}  {row.old!r} → {row.new!r}" for row in found.relabelled[:SHOWN]]
    for line in lines:
        click.echo(line)
    hidden = len(found.added) + len(found.removed) + len(found.relabelled) - len(lines)
    if hidden:
        click.echo(f"  … and {hidden} more: --json lists them all")


@click.command()
@dataset_option
@click.option("--snapshot", default="", help="Id of a snapshot; without it, what is active now.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
def export(dataset: str, snapshot: str, folder: Path, as_json: bool) -> None:
    """Write the pictures, byte for byte as they came, below DIR: one sub-folder per class.

    A snapshot's go below train/, val/ and test/. labels.csv beside them holds the labels as they
    are, for not every label can be a folder's name, the sides and the groups: ./modelmill import
    DIR makes the same dataset again. Where two files have one name, the start of the sha256 comes
    before it. An export that was broken off goes on when it is started again; no file that stands
    in DIR is overwritten. Exit code 1 where a picture's bytes are not there any more.
    """
    installation = use_installation()
    check_dataset(dataset)
    if snapshot:
        with use_database() as database:
            snapshot = find_snapshot(database, dataset, snapshot).snapshot_id
    target = folder.expanduser().absolute()
    with use_scratch(installation) as output_uri:
        spec = ExportSpec(
            output_uri=output_uri,
            dataset=dataset,
            raw_uri=installation.artifacts.raw(dataset),
            snapshots_uri=installation.artifacts.snapshots,
            snapshot_id=snapshot,
            target_uri=target.as_uri(),
        )
        outcome = run_data_job(spec, ExportOutcome, installation)
    if as_json:
        emit_json(outcome)
    else:
        show_export(outcome, target)
    sys.exit(bool(outcome.missing))


def show_export(outcome: ExportOutcome, target: Path) -> None:
    """What was written, and what could not be."""
    click.echo(
        f"{target}: {outcome.written} written, {outcome.already_there} already there, "
        f"{len(outcome.missing)} missing"
    )
    for one in outcome.missing[:SHOWN]:
        click.echo(f"  missing: {one.name}: {one.reason}")
    if outcome.missing[SHOWN:]:
        click.echo(f"  … and {len(outcome.missing[SHOWN:])} more: --json lists them all")
