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
from training.spec import ExportBackboneOutcome, FromScratch, NewBackbone

# --from-scratch needs none of them; without it, the first three have to be there.
OF_WEIGHTS = ("--weights", "--sha256", "--licence", "--source")
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
    """Bring a further network that a model may be built on."""


@backbone.command(name="add")
@click.argument("name")
@click.option("--weights", help="A .pdparams, .npz or safetensors: file or URI.")
@click.option("--sha256", help="The file's checksum, as its source states it.")
@click.option("--licence", help="Of the weights: models are published with it.")
@click.option("--source", help="Where they come from, in words. Default: the address up to a ?.")
@click.option(
    "--network",
    type=click.Choice(get_args(NetworkName)),
    help="Whose weights they are. Default: NAME.",
)
@click.option("--from-scratch", is_flag=True, help="Random weights, instead of a file's.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="That random weights are drawn by. Default: 0."
)
@json_option
def add(
    name: str,
    *,
    weights: str | None,
    sha256: str | None,
    licence: str | None,
    source: str | None,
    network: NetworkName | None,
    from_scratch: bool,
    seed: int | None,
    as_json: bool,
) -> None:
    """Make NAME of a network of paddle.vision.models and weights for it.

    The network gets pictures of 224 × 224 with ImageNet's mean and deviation, as its published
    weights were trained. Then: ./modelmill train --backbones NAME

    With --from-scratch, the network has learned nothing yet. That makes sense with very many
    pictures that are unlike photos, hours of budget, and: ./modelmill train --backbones NAME
    --deepest network
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise click.UsageError(f"NAME was {name!r}, but allowed is: {NAME_RULE}.")
    wanted = network or next((one for one in get_args(NetworkName) if one == name), None)
    if wanted is None:
        allowed = ", ".join(get_args(NetworkName))
        raise click.UsageError(f"{name} is no network: say whose with --network: {allowed}.")
    given: NewBackbone | FromScratch
    if from_scratch:
        _refuse_beside_scratch(weights, sha256, licence, source)
        given = FromScratch(network=wanted, seed=seed or 0)
    elif seed is not None:
        raise click.UsageError("--seed draws random weights: give --from-scratch with it.")
    else:
        given = _bring(wanted, weights, sha256, licence, source)
    card = add_backbone(use_installation(), name, given, sys.stderr)
    if as_json:
        emit_json(card)
        return
    show_cards((card,))
    if from_scratch:
        click.echo(f"It has learned nothing yet: train with --backbones {name} --deepest network.")


def _refuse_beside_scratch(*values: str | None) -> None:
    given = [flag for flag, value in zip(OF_WEIGHTS, values, strict=True) if value is not None]
    if given:
        raise click.UsageError(
            f"--from-scratch draws random weights: leave it out, or {', '.join(given)}."
        )


def _bring(
    network: NetworkName,
    weights: str | None,
    sha256: str | None,
    licence: str | None,
    source: str | None,
) -> NewBackbone:
    """What was said of a weight file, checked."""
    if not (weights and sha256 and licence):
        wanted = zip(OF_WEIGHTS, (weights, sha256, licence), strict=False)
        missing = ", ".join(flag for flag, value in wanted if not value)
        raise click.UsageError(f"Missing: {missing}; or --from-scratch, for random weights.")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256.lower()):
        raise click.UsageError(f"--sha256 was {sha256!r}, but allowed are 64 digits 0-9 and a-f.")
    uri = _locate(weights)
    return NewBackbone(
        weights=GivenWeights(network=network, uri=uri, sha256=sha256.lower()),
        licence=licence,
        source=source or uri.split("?")[0].split("#")[0],
    )


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
