"""./modelmill review."""

import os
import sys

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import check_dataset
from pipelines.command_line.administration import dataset_option, read_actor
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.context import Installation
from pipelines.local.services import SERVICES, check_service
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.job.reviews import count_open
from serving.sessions import INVITATION, invite, locate_sessions

CONSOLE = "console"


class ReviewAddress(BaseModel):
    """What `review` answers. open: samples that wait; url: works once, within the hour."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    open: int
    url: str


@click.command()
@dataset_option
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@json_option
def review(dataset: str, *, no_browser: bool, as_json: bool) -> None:
    """Look at the pictures that models got wrong: is the label right?

    Opens a page of the console, by an address that works once and lets you in for 12 hours. There a
    picture's label is confirmed or changed, or the picture deleted; the next training learns from
    the labels as they are then. Runs fill the queue by themselves.
    """
    installation = use_installation()
    check_dataset(dataset)
    check_console(installation)
    with use_database() as database:
        waiting = count_open(database, dataset)
    token = invite(locate_sessions(installation.layout.home), dataset, read_actor("review page"))
    # Behind #, where no server's log and no Referer header sees it.
    url = f"{installation.settings.console_address}/datasets/{dataset}/review#{token}"
    answer = ReviewAddress(dataset=dataset, open=waiting, url=url)
    if as_json:
        emit_json(answer)
        return
    click.echo(f"{dataset}: {waiting} to review")
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
