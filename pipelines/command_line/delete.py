"""./modelmill delete."""

import sys
from collections.abc import Sequence

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import check_dataset
from pipelines.command_line.administration import (
    dataset_option,
    read_actor,
    run_data_job,
    use_scratch,
)
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.context import Installation
from pipelines.samples import find_sample, list_samples
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.job.samples import Sample, delete_sample
from spark_jobs.administration.spec import PurgeOutcome, PurgeSpec

SHOWN = 10


class Deletion(BaseModel):
    """What `delete` answers. deleted: new tombstones; snapshots: those that held a purged one.

    left_out: pictures that a person had left out of the review queue, whose bytes are gone, too.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    deleted: int
    already_deleted: int
    purged: int
    snapshots: tuple[str, ...]
    left_out: int = 0


@click.command()
@dataset_option
@click.argument("samples", metavar="[SAMPLE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of the dataset's samples.")
@click.option(
    "--purge", is_flag=True, help="Also remove the bytes, for good, from the raw segments."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(
    dataset: str,
    samples: tuple[str, ...],
    *,
    everything: bool,
    purge: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Leave samples out of every later snapshot.

    SAMPLE is a sha256, at least its first 8 digits, or the file's name as it was imported. What
    was deleted can come back by ./modelmill relabel, unless it was purged. Snapshots stay as they
    are, but one that held a purged sample cannot be trained on again.

    A purge covers the raw segments, and takes along the bytes of pictures that were left out of the
    review queue. Pictures shown in reports of earlier runs and the test pictures
    that a deployment is checked with stay until ./modelmill prune removes those runs. What is kept
    by the picture's hash stays, too: its vector, and a grey thumbnail of 96 by 96 pixels.
    """
    # An empty list in somebody's script must not mean everything.
    if everything == bool(samples):
        raise click.UsageError("Name the samples, or say --all; one of the two.")
    installation = use_installation()
    check_dataset(dataset)
    with use_database() as database:
        if not everything:
            chosen = [find_sample(database, dataset, text) for text in samples]
        else:
            chosen = list_samples(database, dataset)
    # Two arguments may mean one sample; what was purged before is done.
    found = [one for one in {one.sha256: one for one in chosen}.values() if not one.is_purged]
    if not yes:
        ask(dataset, found, everything=everything, purge=purge)
    answer = delete_samples(dataset, found, purge=purge, installation=installation)
    if as_json:
        emit_json(answer)
    else:
        show_deletion(answer)


def ask(dataset: str, found: Sequence[Sample], *, everything: bool, purge: bool) -> None:
    """Show what would go, and end with exit code 1 unless the answer is yes."""
    click.echo(
        f"{'All' if everything else 'These'} {len(found)} samples of {dataset} will be "
        f"{'PURGED: their bytes are gone for good' if purge else 'deleted'}:",
        err=True,
    )
    for sample in found[:SHOWN]:
        click.echo(f"  {sample.sha256[:12]}  {sample.label}  {sample.name}", err=True)
    if found[SHOWN:]:
        click.echo(f"  … and {len(found) - SHOWN} more", err=True)
    if not sys.stdin.isatty():
        raise UserError("Nobody is there to be asked: add --yes where you are sure.")
    click.confirm("Go on?", abort=True, err=True)


def delete_samples(
    dataset: str, found: Sequence[Sample], *, purge: bool, installation: Installation
) -> Deletion:
    """Tombstones first, bytes second: a purge that is broken off leaves nothing half in use."""
    actor = read_actor()
    bar = click.progressbar(found, label="delete", file=sys.stderr)
    with use_database() as database, bar as shown:
        after = [delete_sample(database, sample, actor) for sample in shown]
    new = sum(len(a.history) > len(b.history) for a, b in zip(after, found, strict=True))
    purged = PurgeOutcome(purged=0, segments=0, snapshots=())
    if purge and found:
        with use_scratch(installation) as output_uri:
            spec = PurgeSpec(
                output_uri=output_uri,
                dataset=dataset,
                raw_uri=installation.artifacts.raw(dataset),
                snapshots_uri=installation.artifacts.snapshots,
                sha256s=tuple(sorted(sample.sha256 for sample in found)),
            )
            purged = run_data_job(spec, PurgeOutcome, installation)
    return Deletion(
        dataset=dataset,
        deleted=new,
        already_deleted=len(found) - new,
        purged=purged.purged,
        snapshots=purged.snapshots,
        left_out=purged.left_out,
    )


def show_deletion(answer: Deletion) -> None:
    """In a few lines."""
    click.echo(
        f"{answer.dataset}: {answer.deleted} deleted, {answer.already_deleted} were so already, "
        f"{answer.purged} purged"
    )
    if answer.left_out:
        click.echo(f"  and {answer.left_out} that were left out of the review queue")
    for snapshot in answer.snapshots:
        click.echo(f"  snapshot {snapshot} held purged samples: it cannot be trained on again")
