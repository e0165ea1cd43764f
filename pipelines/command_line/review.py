"""./modelmill review and upload: pages of the console that a token opens."""

import os
import re
import sys

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import check_dataset
from pipelines.command_line.administration import (
    dataset_option,
    read_actor,
    run_command,
    use_scratch,
)
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.commands import python_command
from pipelines.context import Installation
from pipelines.local.services import SERVICES, check_service
from serving.job import store
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.job.reviews import count_open
from serving.job.spec import NAME_PATTERN
from serving.sessions import INVITATION, invite, locate_sessions
from serving.spec import QueueKeptOutcome, QueueKeptSpec

CONSOLE = "console"


class ReviewAddress(BaseModel):
    """What `review` answers. open: samples that wait; url: works once, within the hour."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    open: int
    url: str


class UploadAddress(BaseModel):
    """What `upload` answers; url: works once, within the hour."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    url: str


no_browser_option = click.option("--no-browser", is_flag=True, help="Only print the address.")


@click.command()
@click.option("--dataset", default="", help="Its name.")
@click.option("--deployment", default="", help="Take in the requests that it has kept, first.")
@no_browser_option
@json_option
def review(dataset: str, deployment: str, *, no_browser: bool, as_json: bool) -> None:
    """Look at the pictures that models got wrong: is the label right?

    Opens a page of the console, by an address that works once and lets you in for 12 hours. There a
    picture's label is confirmed or changed, or the picture deleted; the next training learns from
    the labels as they are then. Runs fill the queue by themselves. With --deployment, pictures that
    its server was asked about and has kept join the queue of the dataset that it learned from; one
    becomes a sample only by your decision.
    """
    if bool(dataset) == bool(deployment):
        raise click.UsageError("Give either --dataset NAME or --deployment NAME.")
    installation = use_installation()
    if dataset:
        check_dataset(dataset)
    check_console(installation)
    if deployment:
        kept = queue_kept(installation, deployment)
        dataset = kept.dataset
        click.echo(
            f"{deployment}: {kept.queued} kept requests are new in the queue of {dataset}, "
            f"{kept.told} were told right or wrong, {kept.known} known before",
            err=True,
        )
    with use_database() as database:
        waiting = count_open(database, dataset)
    url = invite_to("review", dataset, installation)
    if as_json:
        emit_json(ReviewAddress(dataset=dataset, open=waiting, url=url))
        return
    click.echo(f"{dataset}: {waiting} to review")
    show_address(url, no_browser=no_browser)


def queue_kept(installation: Installation, deployment: str) -> QueueKeptOutcome:
    """What the deployment's server has kept, into the queue."""
    if not re.fullmatch(NAME_PATTERN, deployment):
        raise click.UsageError(f"--deployment was {deployment!r}, but allowed is {NAME_PATTERN}.")
    raw_root = store.join(installation.artifacts.root, "raw")
    with use_scratch(installation) as output_uri:
        spec = QueueKeptSpec(output_uri=output_uri, deployment=deployment, raw_root=raw_root)
        command = python_command(installation.layout, "serving.main", spec)
        return run_command(command, spec, QueueKeptOutcome, installation)


@click.command()
@dataset_option
@no_browser_option
@json_option
def upload(dataset: str, *, no_browser: bool, as_json: bool) -> None:
    """Add pictures to a dataset, new or old, from a browser.

    Opens a page of the console, by an address that works once and lets you in for 12 hours. It
    takes a zip file with one folder per class, or pictures of one class, and imports them.
    """
    installation = use_installation()
    if not re.fullmatch(NAME_PATTERN, dataset):
        raise click.UsageError(f"--dataset was {dataset!r}, but allowed is {NAME_PATTERN}.")
    check_console(installation)
    url = invite_to("upload", dataset, installation)
    if as_json:
        emit_json(UploadAddress(dataset=dataset, url=url))
        return
    show_address(url, no_browser=no_browser)


def invite_to(page: str, dataset: str, installation: Installation) -> str:
    """Address of a dataset's page, with a token in it."""
    token = invite(locate_sessions(installation.layout.home), dataset, read_actor(f"{page} page"))
    # Behind #, where no server's log and no Referer header sees it.
    return f"{installation.settings.console_address}/datasets/{dataset}/{page}#{token}"


def show_address(url: str, *, no_browser: bool) -> None:
    """Print it, and open it where there is a browser."""
    click.echo(url)
    minutes = int(INVITATION.total_seconds() // 60)
    click.echo(f"The address works once, within {minutes} minutes.", err=True)
    if not no_browser and has_browser():
        click.launch(url)


def check_console(installation: Installation) -> None:
    """UserError where the console does not answer."""
    (console,) = (one for one in SERVICES if one.name == CONSOLE)
    reason = check_service(console, installation.settings, installation.layout)
    if reason is not None:
        address = console.address(installation.settings, installation.layout)
        raise UserError(f"The console at {address} {reason}. Start it: ./modelmill up")


def has_browser() -> bool:
    """True where a person sits at a screen of this machine."""
    screen = sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return sys.stdout.isatty() and screen
