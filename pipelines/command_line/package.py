"""./modelmill package: a version in one file to carry."""

from pathlib import Path
from typing import get_args

import click

from pipelines.command_line.administration import run_command, use_scratch
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.commands import python_command
from serving.offline.spec import PACKAGE_ENDINGS, PackageKind, PackageOutcome, PackageSpec

NEXT: dict[PackageKind, str] = {
    "docker": "tar -xzf {file} && {folder}/load.sh",
    "sdk": "unzip {file}, then {folder}/README.md",
}


@click.command()
@click.argument("deployment", metavar="NAME")
@click.option(
    "--kind",
    "contents",
    required=True,
    type=click.Choice(get_args(PackageKind)),
    help="docker: an image with its server; sdk: the model for Python programs.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help=".tar.gz or .zip.")
@click.option(
    "--version",
    default=0,
    type=click.IntRange(min=0),
    help="Another version than the one in service.",
)
@click.option("--force", is_flag=True, help="Replace the file where it is there.")
@json_option
def package(
    deployment: str, contents: PackageKind, out: Path, version: int, *, force: bool, as_json: bool
) -> None:
    """Put a deployment's model into one file that works where there is no network.

    docker: a .tar.gz with the image, compose.yaml and load.sh, which needs a Docker engine and
    nothing else. sdk: a .zip with the bundle, all wheels and an example; it needs Python 3.11.
    """
    endings = PACKAGE_ENDINGS[contents]
    if not out.name.endswith(endings):
        allowed = " or ".join(endings)
        raise click.UsageError(f"--out was {out.name!r}, but for {contents} it ends in {allowed}.")
    installation = use_installation()
    with use_scratch(installation) as output_uri:
        spec = PackageSpec(
            output_uri=output_uri,
            deployment=deployment,
            version=version,
            contents=contents,
            target_uri=out.expanduser().absolute().as_uri(),
            force=force,
        )
        command = python_command(installation.layout, "serving.offline.main", spec)
        outcome = run_command(command, spec, PackageOutcome, installation)
    if as_json:
        emit_json(outcome)
        return
    size = f"{outcome.size_bytes / 1e6:.1f} MB, sha256 {outcome.sha256}"
    click.echo(f"{out}: {outcome.deployment} version {outcome.version}, {size}")
    click.echo(f"  there  {NEXT[contents].format(file=out.name, folder=outcome.folder)}")
