"""./modelmill backbones."""

import sys

import click
from pydantic import BaseModel, ConfigDict

from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.planning import ensure_backbones
from training.spec import ExportBackboneOutcome

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
