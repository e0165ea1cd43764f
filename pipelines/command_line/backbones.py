"""./modelmill backbones, and backbone add."""

import re
import sys
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import click
from pydantic import BaseModel, ConfigDict

from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.form_base import NAME_RULE
from pipelines.planning import add_backbone, ensure_backbones
from serving.job.errors import UserError
from serving.job.inputs import GivenWeights, NetworkName
from serving.job.spec import NAME_PATTERN
from training.spec import ExportBackboneOutcome, NewBackbone

NUMBERS = ("input px", "M parameters", "GFLOPs", "MB", "ms")


class BackboneList(BaseModel):
    """What `backbones` answers."""

    model_config = ConfigDict(frozen=True)

    backbones: tuple[ExportBackboneOutcome, ...]


@click.command()
@json_option
def backbones(as_json: bool) -> None:
    """List the pretrained networks that a model may be built on, and what they cost.

    GFLOPs: thousand million multiply-adds for one picture. MB: the ONNX file. ms: one picture on
    one core of this machine, measured when the network was set up; decoding is not in it.
    """
    answer = BackboneList(backbones=ensure_backbones(use_installation(), sys.stderr))
    if as_json:
        emit_json(answer)
    else:
        show_cards(answer.backbones)


def show_cards(cards: tuple[ExportBackboneOutcome, ...]) -> None:
    """What each costs, a line each; then where it comes from."""
    from rich.console import Console
    from rich.table import Table

    table = Table("backbone", box=None, pad_edge=False)
    for column in NUMBERS:
        table.add_column(column, justify="right")
    for card in cards:
        table.add_row(
            card.file.name,
            str(card.size),
            f"{card.parameters / 1e6:.2f}",
            f"{card.flops / 1e9:.3f}",
            f"{card.file.file_bytes / 1e6:.1f}",
            f"{card.file.latency_ms:.1f}",
        )
    Console().print(table)
    for card in cards:
        click.echo(f"{card.file.name}: {card.source}; {card.file.licence}")


@click.group()
def backbone() -> None:
    """Bring the weights of a further network that a model may be built on."""


@backbone.command(name="add")
@click.argument("name")
@click.option("--weights", required=True, help="A .pdparams, .npz or safetensors: file or URI.")
@click.option("--sha256", required=True, help="The file's checksum, as its source states it.")
@click.option("--licence", required=True, help="Of the weights: models are published with it.")
@click.option("--source", help="Where they come from, in words. Default: the address up to a ?.")
@click.option(
    "--network",
    type=click.Choice(get_args(NetworkName)),
    help="Whose weights they are. Default: NAME.",
)
@json_option
def add(
    name: str,
    *,
    weights: str,
    sha256: str,
    licence: str,
    source: str | None,
    network: NetworkName | None,
    as_json: bool,
) -> None:
    """Make NAME of a network of paddle.vision.models and weights for it.

    The network gets pictures of 224 × 224 with ImageNet's mean and deviation, as its published
    weights were trained. Then: ./modelmill train --backbones NAME
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise click.UsageError(f"NAME was {name!r}, but allowed is: {NAME_RULE}.")
    wanted = network or next((one for one in get_args(NetworkName) if one == name), None)
    if wanted is None:
        allowed = ", ".join(get_args(NetworkName))
        raise click.UsageError(f"{name} is no network: say whose with --network: {allowed}.")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256.lower()):
        raise click.UsageError(f"--sha256 was {sha256!r}, but allowed are 64 digits 0-9 and a-f.")
    uri = _locate(weights)
    given = NewBackbone(
        weights=GivenWeights(network=wanted, uri=uri, sha256=sha256.lower()),
        licence=licence,
        source=source or uri.split("?")[0].split("#")[0],
    )
    card = add_backbone(use_installation(), name, given, sys.stderr)
    if as_json:
        emit_json(card)
    else:
        show_cards((card,))


def _locate(weights: str) -> str:
    """URI of a file or of an address."""
    if "://" not in weights:
        return Path(weights).expanduser().absolute().as_uri()
    try:
        place = urlsplit(weights).netloc
    except ValueError as error:
        raise UserError(f"--weights was {weights!r}, which is no address: {error}.") from None
    if "@" in place:
        raise UserError("--weights holds user:password@: fetch the file, and name it instead.")
    return weights
