"""./modelmill node: lend this machine to another one's trainings."""

import signal
import sys

import click

from pipelines.context import read_installation
from pipelines.nodes.node import Node
from pipelines.nodes.place import MASTER_SETTING
from serving.job.errors import UserError


@click.command()
@click.option(
    "--master",
    metavar="HOST:PORT",
    help=f"Where the first machine is met; default: {MASTER_SETTING}, which is set there.",
)
@click.option(
    "--rank", type=click.IntRange(min=1), required=True, help="This machine's number, from 1 on."
)
@click.option("--once", is_flag=True, help="End after one training: 0 if all went well, else 1.")
def node(master: str | None, rank: int, *, once: bool) -> None:
    """Train along whenever the first machine trains, until this command is ended.

    The first machine runs everything else. Both need the same version of modelmill, and trust in
    the network between them: what they say to one another, at --master and at ports of Paddle's
    choice, is neither encrypted nor signed.
    """
    installation = read_installation()
    address = master or installation.settings.train_master
    if not address:
        raise UserError(
            "Where is the first machine? Say --master HOST:PORT, which is what "
            f"{MASTER_SETTING} is there."
        )
    # Whoever ends it ends its processes, and empties its disk.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lent = Node(installation, address, rank, say=lambda line: click.echo(line, err=True))
    sys.exit(0 if lent.serve(once=once) else 1)
