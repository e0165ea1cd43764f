"""./modelmill stages, and stage new and stage try."""

import json
import shlex
import sys
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import check_dataset
from pipelines.command_line.administration import (
    dataset_option,
    run_command,
    run_data_job,
    use_scratch,
)
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.commands import LOG_CONF, python_command
from pipelines.context import Installation, read_installation
from pipelines.form import JsonType
from pipelines.local.layout import REPO
from pipelines.planning import ensure_backbones
from pipelines.request import RunRequest
from pipelines.search_plan import choose_inputs
from pipelines.stage_template import write_stage
from serving.bundle.manifest import Preprocessing, Resize
from serving.job.errors import UserError
from spark_jobs.administration.spec import (
    ListStagesSpec,
    StageInfo,
    StageList,
    StageParam,
    TryStageOutcome,
    TryStageSpec,
)
from spark_jobs.spec import StageSpec

# How many rejected samples a person is shown; --json has them all.
SHOWN = 20


@click.command()
@json_option
def stages(as_json: bool) -> None:
    """List the Spark stages, those that ship and your own: what they do, their parameters."""
    # No stores are needed: this works before ./modelmill up.
    installation = read_installation()
    with use_scratch(installation) as output_uri:
        spec = ListStagesSpec(output_uri=output_uri)
        found = run_data_job(spec, StageList, installation)
    if as_json:
        emit_json(found)
        return
    for one in found.stages:
        show_stage(one)
    if not installation.settings.stages:
        click.echo("Your own are looked for in the folder MODELMILL_STAGES, which is not set.")


def show_stage(one: StageInfo) -> None:
    """Name, what it does, and a line per parameter."""
    click.echo(f"{one.name}{f'  ({one.origin})' if one.origin else ''}")
    if one.problem:
        click.echo(f"  cannot be used: {one.problem}")
        return
    for line in one.doc.splitlines():
        click.echo(f"  {line}".rstrip())
    if one.params and one.params_doc:
        click.echo(f"  Parameters: {one.params_doc}")
    for param in one.params:
        click.echo(f"    {_describe(param)}")


def _describe(param: StageParam) -> str:
    value = "needed" if param.required else json.dumps(param.default, ensure_ascii=False)
    limits = f" ({param.limits})" if param.limits else ""
    about = f"  {param.description}" if param.description else ""
    return f"{param.name}: {param.type}{limits} = {value}{about}"


@click.group()
def stage() -> None:
    """Write a Spark stage of your own, and try it on a few samples."""


class NewStage(BaseModel):
    """What `stage new` answers; command runs the test."""

    model_config = ConfigDict(frozen=True)

    name: str
    stage: str
    test: str
    command: str


@stage.command(name="new")
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to. Default: MODELMILL_STAGES.",
)
@json_option
def new(name: str, folder: Path | None, as_json: bool) -> None:
    """Write NAME.py, a stage, and test_NAME.py, its test, which passes as it is."""
    installation = read_installation()
    given = folder or (Path(installation.settings.stages) if installation.settings.stages else None)
    if given is None:
        raise UserError(
            "There is no folder for your stages yet: set MODELMILL_STAGES to one, or name it with "
            "--dir."
        )
    target = given.expanduser().absolute()
    paths = write_stage(name, target)
    python = installation.layout.jobs / "bin" / "python"
    test = ["-m", "unittest", "discover", "-s", str(target), "-p", paths[1].name]
    answer = NewStage(
        name=name,
        stage=str(paths[0]),
        test=str(paths[1]),
        command=shlex.join(["env", f"PYTHONPATH={REPO}", str(python), *test]),
    )
    if as_json:
        emit_json(answer)
        return
    click.echo(f"{answer.stage}\n{answer.test}\nIts test:\n  {answer.command}")
    click.echo(f"On real samples:\n  ./modelmill stage try {name} --dataset NAME")


@stage.command(name="try")
@click.argument("name")
@dataset_option
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Samples."
)
@click.option("--params", default="{}", type=JsonType(), help="The stage's parameters, JSON.")
@click.option(
    "--resize",
    default=Preprocessing().resize,
    show_default=True,
    type=click.Choice(get_args(Resize)),
    help="How pictures become the network's square.",
)
@json_option
def try_(
    name: str, *, dataset: str, limit: int, params: object, resize: Resize, as_json: bool
) -> None:
    """Run the stage NAME on a few decoded samples: what it rejects and why, what it changes.

    Nothing is written: no side is given, no snapshot made, no cache filled.
    """
    if not isinstance(params, dict):
        raise click.UsageError(
            f"--params was {params!r}, but allowed is a JSON object: '{{\"min_side\": 64}}'."
        )
    installation = use_installation()
    check_dataset(dataset)
    wanted = StageSpec(name=name, params=params)
    found = try_stage(wanted, dataset, limit, resize=resize, installation=installation)
    if as_json:
        emit_json(found)
    else:
        show_trial(found)


def try_stage(
    wanted: StageSpec, dataset: str, limit: int, *, resize: Resize, installation: Installation
) -> TryStageOutcome:
    """On this machine. Raises UserError with the stage's own mistakes."""
    cards = ensure_backbones(installation, sys.stderr)
    first, *_ = choose_inputs(RunRequest(dataset=dataset, resize=resize), cards)
    with use_scratch(installation) as output_uri:
        spec = TryStageSpec(
            output_uri=output_uri,
            dataset=dataset,
            raw_uri=installation.artifacts.raw(dataset),
            stage=wanted,
            limit=limit,
            input=first,
        )
        command = python_command(installation.layout, "spark_jobs.main", spec)
        quiet = f"--driver-java-options -Dlog4j2.configurationFile={LOG_CONF.as_uri()}"
        with_spark = {"PYSPARK_SUBMIT_ARGS": f"{quiet} pyspark-shell"}
        command = command.model_copy(update={"environment": with_spark})
        return run_command(command, spec, TryStageOutcome, installation)


def show_trial(found: TryStageOutcome) -> None:
    """Before and after."""
    click.echo(f"{found.stage}: {found.rows} samples, {len(found.rejected)} rejected")
    if found.rejected_before:
        click.echo(f"  ({found.rejected_before} were rejected before, by decoding)")
    for one in found.rejected[:SHOWN]:
        click.echo(f"  rejected: {one.name}: {one.reason}")
    if found.rejected[SHOWN:]:
        click.echo(f"  … and {len(found.rejected) - SHOWN} more: --json lists them all")
    for column in found.changed:
        kind = "new column" if column.added else "changed column"
        click.echo(f"  {kind} {column.column}: {column.rows} of {found.rows} samples")
        for example in column.examples:
            click.echo(f"    {example.name}: {example.before} → {example.after}")
    if not found.changed:
        click.echo("  no column was added or changed")
