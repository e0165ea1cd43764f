"""./modelmill datasets and relabel."""

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import check_dataset
from pipelines.command_line.administration import dataset_option, read_actor
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.samples import DatasetSummary, find_sample, list_datasets
from serving.bundle.manifest import SEVERAL
from serving.job.labels import check_label, list_classes, read_task
from serving.job.mongo import use_database
from serving.job.samples import add_class, check_bytes, relabel_sample
from serving.job.text import list_some

# How many classes a person is shown; --json has them all.
SHOWN = 20


class DatasetList(BaseModel):
    """What `datasets` answers."""

    model_config = ConfigDict(frozen=True)

    datasets: tuple[DatasetSummary, ...]


@click.command()
@json_option
def datasets(as_json: bool) -> None:
    """List the datasets: samples, classes, last import.

    Disputed samples came under two labels, and are left out until ./modelmill relabel decides.
    """
    use_installation()
    with use_database() as database:
        answer = DatasetList(datasets=list_datasets(database))
    if as_json:
        emit_json(answer)
        return
    if not answer.datasets:
        click.echo("Nothing has been imported yet: ./modelmill import PATH --dataset NAME")
    for one in answer.datasets:
        title = f"  ({one.title})" if one.title != one.name else ""
        at = f"{one.last_import:%Y-%m-%d %H:%M} UTC" if one.last_import else "never"
        click.echo(f"{one.name}{title}")
        click.echo(
            f"  samples: {one.active} active, {one.disputed} disputed, {one.deleted} deleted; "
            f"last import {at}"
        )
        several = ", several labels a sample" if one.task == SEVERAL else ""
        click.echo(f"  {len(one.classes)} classes{several}: {list_some(one.classes, SHOWN)}")


class Relabelling(BaseModel):
    """What `relabel` answers; changed: false where the sample was so already."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    sha256: str
    name: str
    old_label: str
    old_state: str
    label: str
    state: str
    changed: bool


@click.command()
@dataset_option
@click.argument("sample")
@click.argument("label")
@click.option("--new-class", is_flag=True, help="LABEL is a class that the dataset has not yet.")
@json_option
def relabel(dataset: str, sample: str, label: str, new_class: bool, as_json: bool) -> None:
    """Give SAMPLE another LABEL from now on; what it was before stays in its history.

    SAMPLE is a sha256, at least its first 8 digits, or the file's name as it was imported. A
    disputed or deleted sample becomes active again: this is how a person decides a dispute.
    Snapshots that exist stay as they are. In a dataset of several labels a sample, LABEL is all of
    them, 'a|b'.
    """
    use_installation()
    check_dataset(dataset)
    answer = relabel_by_name(dataset, sample, label, new_class=new_class, by=read_actor())
    if as_json:
        emit_json(answer)
    elif not answer.changed:
        click.echo(f"{answer.name} is {answer.label!r} already.")
    else:
        was = "" if answer.old_state == "active" else f" ({answer.old_state})"
        click.echo(f"{answer.name}: {answer.old_label!r}{was} → {answer.label!r}")


def relabel_by_name(
    dataset: str, text: str, label: str, *, new_class: bool, by: str
) -> Relabelling:
    """Find the sample, check the label, and append the decision. Raises UserError."""
    with use_database() as database:
        before = find_sample(database, dataset, text)
        check_bytes(before)
        classes = database["datasets"].find_one({"_id": dataset})["classes"]
        task = read_task(database, dataset)
        clean = check_label(label, classes, new=new_class, task=task)
        # The class first: a label that no list holds would be a typing error for everybody else.
        for name in list_classes(clean, task):
            add_class(database, dataset, name)
        after = relabel_sample(database, before, clean, by)
    return Relabelling(
        dataset=dataset,
        sha256=after.sha256,
        name=after.name,
        old_label=before.label,
        old_state=before.state,
        label=after.label,
        state=after.state,
        changed=len(after.history) > len(before.history),
    )
