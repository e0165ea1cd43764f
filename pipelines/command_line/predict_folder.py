"""./modelmill predict with --out: a whole folder, answered by a job instead of the server."""

from pathlib import Path
from typing import get_args

import click

from pipelines.command_line.administration import run_command, use_scratch
from pipelines.command_line.output import emit_json
from pipelines.commands import python_command
from pipelines.context import Installation
from serving.job.errors import UserError
from serving.offline.spec import AnswerFormat, PredictFolderOutcome, PredictFolderSpec

FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)


def read_format(path: Path) -> AnswerFormat:
    """By the file's ending; wrong usage where it is none of FORMATS."""
    for name in FORMATS:
        if path.suffix.lower() == f".{name}":
            return name
    allowed = " or ".join(f".{name}" for name in FORMATS)
    raise click.UsageError(f"--out was {path.name!r}, but its ending must be {allowed}.")


def read_folder(given: tuple[Path, ...]) -> Path:
    """The one folder; raises UserError."""
    if len(given) != 1:
        raise click.UsageError(f"With --out, name one folder; {len(given)} were named.")
    folder = given[0].expanduser().absolute()
    if folder.is_dir():
        return folder
    what = "no folder but a file" if folder.exists() else "not there"
    raise UserError(f"{folder} is {what}: with --out, name a folder of pictures.")


def predict_folder(
    installation: Installation, spec: PredictFolderSpec, *, as_json: bool
) -> PredictFolderOutcome:
    """Run the job here; progress goes to standard error, a line at the end to standard output."""
    command = python_command(installation.layout, "serving.offline.main", spec)
    outcome = run_command(command, spec, PredictFolderOutcome, installation)
    if as_json:
        emit_json(outcome)
    else:
        click.echo(describe_outcome(outcome))
    return outcome


def describe_outcome(outcome: PredictFolderOutcome) -> str:
    """One line: how many, how fast, and where they are."""
    rate = outcome.files / max(outcome.seconds, 1e-9)
    below = outcome.decline_below
    limit = f", below {below:.3g}" if below else ""
    low = f" ({outcome.declined} of them none of these{limit})" if below or outcome.declined else ""
    return (
        f"{outcome.predicted} predicted{low}, {outcome.unreadable} unreadable, {rate:.1f} img/s, "
        f"by {outcome.deployment} version {outcome.version}"
    )


def predict_here(
    installation: Installation,
    *,
    deployment: str,
    version: int,
    given: tuple[Path, ...],
    out: Path,
    top: int,
    min_score: float | None,
    cores: int,
    force: bool,
    as_json: bool,
) -> None:
    """A folder of this machine."""
    kind, folder = read_format(out), read_folder(given)
    with use_scratch(installation) as output_uri:
        spec = PredictFolderSpec(
            output_uri=output_uri,
            deployment=deployment,
            version=version,
            folder_uri=folder.as_uri(),
            target_uri=out.expanduser().absolute().as_uri(),
            format=kind,
            top=top,
            min_score=min_score,
            cores=cores,
            force=force,
        )
        predict_folder(installation, spec, as_json=as_json)
